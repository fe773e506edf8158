//! The enumerations of Fetch that requests and responses carry: each a word of the standard.
//!
//! Knows their spellings and their stored numbers, which never change (`docs/format.md`, "Entry").

/// An enumeration whose values are words of a standard, numbered for storage.
macro_rules! words {
    ($(#[$doc:meta])* $name:ident { $($(#[$item_doc:meta])* $item:ident = $number:literal $word:literal,)+ }) => {
        $(#[$doc])*
        #[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
        pub enum $name { $($(#[$item_doc])* $item = $number,)+ }

        impl $name {
            /// Every value, in the order of its stored number.
            pub const ALL: &'static [Self] = &[$(Self::$item,)+];

            /// The standard's word for it.
            pub const fn as_str(self) -> &'static str {
                match self { $(Self::$item => $word,)+ }
            }

            /// The value the standard spells `word`.
            pub fn from_word(word: &str) -> Option<Self> {
                match word { $($word => Some(Self::$item),)+ _ => None }
            }

            pub(crate) const fn from_stored(number: u8) -> Option<Self> {
                match number { $($number => Some(Self::$item),)+ _ => None }
            }
        }

        impl std::fmt::Display for $name {
            fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
                f.write_str(self.as_str())
            }
        }
    };
}

words! {
    /// A request's [mode](https://fetch.spec.whatwg.org/#concept-request-mode).
    RequestMode {
        /// Cross-origin answers are opaque.
        NoCors = 0 "no-cors",
        /// Cross-origin answers need the server's consent; what script makes by default.
        #[default]
        Cors = 1 "cors",
        /// Cross-origin answers are errors.
        SameOrigin = 2 "same-origin",
        /// A document is being opened.
        Navigate = 3 "navigate",
        /// A WebSocket handshake.
        WebSocket = 4 "websocket",
    }
}

words! {
    /// A request's [credentials mode](https://fetch.spec.whatwg.org/#concept-request-credentials-mode).
    RequestCredentials {
        /// Never sent.
        Omit = 0 "omit",
        /// Sent to the own origin.
        #[default]
        SameOrigin = 1 "same-origin",
        /// Always sent.
        Include = 2 "include",
    }
}

words! {
    /// A request's [cache mode](https://fetch.spec.whatwg.org/#concept-request-cache-mode): about the HTTP cache.
    RequestCache {
        /// By the HTTP cache's rules.
        #[default]
        Default = 0 "default",
        /// Past the HTTP cache.
        NoStore = 1 "no-store",
        /// Past the HTTP cache, which is updated.
        Reload = 2 "reload",
        /// Revalidated.
        NoCache = 3 "no-cache",
        /// Stale answers are fine.
        ForceCache = 4 "force-cache",
        /// Never from the network.
        OnlyIfCached = 5 "only-if-cached",
    }
}

words! {
    /// A request's [redirect mode](https://fetch.spec.whatwg.org/#concept-request-redirect-mode).
    RequestRedirect {
        /// Redirects are followed.
        #[default]
        Follow = 0 "follow",
        /// A redirect is an error.
        Error = 1 "error",
        /// A redirect is handed out as an opaque redirect.
        Manual = 2 "manual",
    }
}

words! {
    /// A [referrer policy](https://w3c.github.io/webappsec-referrer-policy/#referrer-policies).
    ReferrerPolicy {
        /// None given.
        #[default]
        Empty = 0 "",
        /// Never.
        NoReferrer = 1 "no-referrer",
        /// Not to less secure places.
        NoReferrerWhenDowngrade = 2 "no-referrer-when-downgrade",
        /// To the own origin.
        SameOrigin = 3 "same-origin",
        /// The origin only.
        Origin = 4 "origin",
        /// The origin only, not to less secure places.
        StrictOrigin = 5 "strict-origin",
        /// The origin only to others.
        OriginWhenCrossOrigin = 6 "origin-when-cross-origin",
        /// The origin only to others, nothing to less secure places.
        StrictOriginWhenCrossOrigin = 7 "strict-origin-when-cross-origin",
        /// Always.
        UnsafeUrl = 8 "unsafe-url",
    }
}

words! {
    /// A request's [destination](https://fetch.spec.whatwg.org/#concept-request-destination).
    #[allow(missing_docs, reason = "the words say it; each is a kind of element or call")]
    Destination {
        #[default]
        Empty = 0 "",
        Audio = 1 "audio",
        AudioWorklet = 2 "audioworklet",
        Document = 3 "document",
        Embed = 4 "embed",
        Font = 5 "font",
        Frame = 6 "frame",
        Iframe = 7 "iframe",
        Image = 8 "image",
        Json = 9 "json",
        Manifest = 10 "manifest",
        Object = 11 "object",
        PaintWorklet = 12 "paintworklet",
        Report = 13 "report",
        Script = 14 "script",
        ServiceWorker = 15 "serviceworker",
        SharedWorker = 16 "sharedworker",
        Style = 17 "style",
        Text = 18 "text",
        Track = 19 "track",
        Video = 20 "video",
        WebIdentity = 21 "webidentity",
        Worker = 22 "worker",
        Xslt = 23 "xslt",
    }
}

impl Destination {
    /// Whether a request for it is one for a [subresource](https://fetch.spec.whatwg.org/#subresource-request).
    pub const fn is_subresource(self) -> bool {
        use Destination::{Document, Embed, Frame, Iframe, Object, Report, ServiceWorker, SharedWorker, Worker};
        !matches!(self, Document | Embed | Frame | Iframe | Object | Report | ServiceWorker | SharedWorker | Worker)
    }
}

words! {
    /// A response's [type](https://fetch.spec.whatwg.org/#concept-response-type): what script may see of it.
    ResponseType {
        /// Made by script.
        #[default]
        Default = 0 "default",
        /// From the own origin: all but `Set-Cookie`.
        Basic = 1 "basic",
        /// From another origin with its consent: the headers it exposes.
        Cors = 2 "cors",
        /// From another origin without its consent: nothing.
        Opaque = 3 "opaque",
        /// A redirect that was not followed: nothing but the URL.
        OpaqueRedirect = 4 "opaqueredirect",
        /// A network error.
        Error = 5 "error",
    }
}

/// An [embedder policy](https://html.spec.whatwg.org/#coep): what a context demands of the foreign things it loads.
///
/// Not stored: it belongs to whoever reads.
#[derive(Debug, Clone, Copy, PartialEq, Eq, Hash, Default)]
pub enum EmbedderPolicy {
    /// Nothing.
    #[default]
    UnsafeNone,
    /// That they say in `Cross-Origin-Resource-Policy` that they may be loaded.
    RequireCorp,
    /// That, or that they were fetched without credentials.
    Credentialless,
}

impl EmbedderPolicy {
    /// The standard's word for it.
    pub const fn as_str(self) -> &'static str {
        match self {
            Self::UnsafeNone => "unsafe-none",
            Self::RequireCorp => "require-corp",
            Self::Credentialless => "credentialless",
        }
    }

    /// The value the standard spells `word`.
    pub fn from_word(word: &str) -> Option<Self> {
        [Self::UnsafeNone, Self::RequireCorp, Self::Credentialless].into_iter().find(|policy| policy.as_str() == word)
    }
}

impl std::fmt::Display for EmbedderPolicy {
    fn fmt(&self, f: &mut std::fmt::Formatter<'_>) -> std::fmt::Result {
        f.write_str(self.as_str())
    }
}
