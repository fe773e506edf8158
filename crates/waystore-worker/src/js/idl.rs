//! Installs native operations as WebIDL has them.
//!
//! What every operation needs and no interface file repeats: the receiver's brand check, the number
//! of required arguments, names and lengths, enumerable members, `Symbol.toStringTag`, constructors
//! that ask for `new` or refuse, and promise-returning operations whose every failure is a rejection.
//! Conversions of single values are in [`convert`]. Spec: <https://webidl.spec.whatwg.org/#javascript-binding>

mod convert;

use rquickjs::{
    Class, Ctx, Function, IntoJs, Object, Result, Value,
    atom::PredefinedAtom,
    class::JsClass,
    function::{Constructor, IntoJsFunc, ParamRequirement, Params},
    object::Property,
};

pub(crate) use self::convert::{ByteString, Convert, Dictionary, DomString, Nullable};
use super::{
    exception::{Outcome, Thrown},
    kit::{Kit, kit},
    realm::{realm, revocation, stopped},
};

/// The arguments of one call, and the engine's context for converting them.
#[derive(Debug, Clone)]
pub(crate) struct Arguments<'js> {
    ctx: Ctx<'js>,
    values: Vec<Value<'js>>,
}

impl<'js> Arguments<'js> {
    fn of(params: &Params<'_, 'js>) -> Self {
        let values = (0..params.len()).filter_map(|index| params.arg(index)).collect();
        Self { ctx: params.ctx().clone(), values }
    }

    /// The engine's context.
    pub(crate) fn ctx(&self) -> &Ctx<'js> {
        &self.ctx
    }

    /// The argument at `index`; `undefined` where the caller gave fewer.
    pub(crate) fn get(&self, index: usize) -> Value<'js> {
        self.values.get(index).cloned().unwrap_or_else(|| Value::new_undefined(self.ctx.clone()))
    }

    /// The argument at `index`, unless it is missing or `undefined`.
    pub(crate) fn optional(&self, index: usize) -> Option<Value<'js>> {
        self.values.get(index).filter(|value| !value.is_undefined()).cloned()
    }

    /// The arguments from `index` on.
    pub(crate) fn rest(&self, index: usize) -> &[Value<'js>] {
        self.values.get(index..).unwrap_or_default()
    }
}

/// One call of an operation: the receiver, which is of the right interface, and the arguments.
pub(crate) struct Call<'js, T: JsClass<'js>> {
    /// The object it was called on.
    pub(crate) this: Class<'js, T>,
    /// What it was called with; at least as many as are required.
    pub(crate) arguments: Arguments<'js>,
}

impl<'js, T: JsClass<'js>> Call<'js, T> {
    /// The engine's context.
    pub(crate) fn ctx(&self) -> &Ctx<'js> {
        &self.arguments.ctx
    }
}

/// An interface being installed: its prototype and its interface object.
pub(crate) struct Interface<'js, T: JsClass<'js>> {
    kit: Kit<'js>,
    prototype: Object<'js>,
    object: Object<'js>,
    class: std::marker::PhantomData<T>,
}

impl<'js, T: JsClass<'js> + 'js> Interface<'js, T> {
    /// An interface whose objects script makes with `new`: `make` is given the arguments, of which
    /// `required` are.
    pub(crate) fn constructible(
        ctx: &Ctx<'js>,
        required: usize,
        make: impl Fn(&Arguments<'js>) -> Outcome<'js, T> + 'js,
    ) -> Result<Self> {
        Self::with_constructor(ctx, required, move |params| {
            if !params.is_constructor() {
                return Err(Thrown::type_error(format!("{} is a constructor: call it with `new`", T::NAME)));
            }
            check_count(params, T::NAME, required)?;
            let arguments = Arguments::of(params);
            let made = make(&arguments)?;
            Ok(Class::instance(arguments.ctx, made)?.into_value())
        })
    }

    /// An interface whose objects script cannot make.
    pub(crate) fn illegal(ctx: &Ctx<'js>) -> Result<Self> {
        Self::with_constructor(ctx, 0, |_| Err(Thrown::type_error(format!("{}: illegal constructor", T::NAME))))
    }

    fn with_constructor(
        ctx: &Ctx<'js>,
        length: usize,
        construct: impl Fn(&Params<'_, 'js>) -> Outcome<'js, Value<'js>> + 'js,
    ) -> Result<Self> {
        let prototype = Class::<T>::prototype(ctx)?.expect("every interface keeps the default prototype");
        let native =
            Native(move |params: Params<'_, 'js>| construct(&params).map_err(|thrown| thrown.throw(params.ctx())));
        let object = Constructor::new_prototype(ctx, prototype.clone(), native)?;
        object.set_name(T::NAME)?;
        object.set_length(length)?;
        let tag = Property::from(T::NAME).configurable();
        prototype.prop(PredefinedAtom::SymbolToStringTag, tag)?;
        ctx.globals().prop(T::NAME, Property::from(object.clone()).writable().configurable())?;
        let object = object.into_value().into_object().expect("a constructor is an object");
        Ok(Self { kit: kit(ctx)?, prototype, object, class: std::marker::PhantomData })
    }

    /// An operation that answers at once, and throws.
    pub(crate) fn operation<R: IntoJs<'js>>(
        &self,
        name: &'static str,
        required: usize,
        operation: impl Fn(&Call<'js, T>) -> Outcome<'js, R> + 'js,
    ) -> Result<&Self> {
        let called = move |params: &Params<'_, 'js>| {
            let result = operation(&receive(params, name, required)?)?;
            Ok(result.into_js(params.ctx())?)
        };
        self.member(&self.prototype, name, required, called)
    }

    /// An operation that returns a promise: whatever fails, its conversions included, rejects it.
    ///
    /// `operation` runs within the call (it converts the arguments and takes what it needs of the
    /// receiver) and returns the rest as a future, which settles the promise from the host's loop.
    pub(crate) fn promise<F, R>(
        &self,
        name: &'static str,
        required: usize,
        operation: impl Fn(&Call<'js, T>) -> Outcome<'js, F> + 'js,
    ) -> Result<&Self>
    where
        F: Future<Output = Outcome<'js, R>> + 'js,
        R: IntoJs<'js> + 'js,
    {
        let called = move |params: &Params<'_, 'js>| {
            let begun = receive(params, name, required).and_then(|call| operation(&call));
            Ok(promised(params.ctx(), begun)?)
        };
        self.member(&self.prototype, name, required, called)
    }

    /// An operation of the interface object.
    pub(crate) fn static_operation<R: IntoJs<'js>>(
        &self,
        name: &'static str,
        required: usize,
        operation: impl Fn(&Arguments<'js>) -> Outcome<'js, R> + 'js,
    ) -> Result<&Self> {
        let called = move |params: &Params<'_, 'js>| {
            check_count(params, name, required)?;
            Ok(operation(&Arguments::of(params))?.into_js(params.ctx())?)
        };
        self.member(&self.object, name, required, called)
    }

    /// An attribute that script reads.
    pub(crate) fn attribute<R: IntoJs<'js>>(
        &self,
        name: &'static str,
        get: impl Fn(&Call<'js, T>) -> Outcome<'js, R> + 'js,
    ) -> Result<&Self> {
        let get = self.getter(name, get)?;
        self.define_attribute(name, get, None)
    }

    /// An attribute that script reads and writes.
    pub(crate) fn writable_attribute<R: IntoJs<'js>>(
        &self,
        name: &'static str,
        get: impl Fn(&Call<'js, T>) -> Outcome<'js, R> + 'js,
        set: impl Fn(&Call<'js, T>) -> Outcome<'js, ()> + 'js,
    ) -> Result<&Self> {
        let get = self.getter(name, get)?;
        let set = function(get.ctx(), &format!("set {name}"), 1, move |params| {
            set(&receive(params, name, 1)?)?;
            Ok(Value::new_undefined(params.ctx().clone()))
        })?;
        self.define_attribute(name, get, Some(set))
    }

    /// What the prelude adds to: the interface object.
    pub(crate) fn object(&self) -> &Object<'js> {
        &self.object
    }

    fn getter<R: IntoJs<'js>>(
        &self,
        name: &'static str,
        get: impl Fn(&Call<'js, T>) -> Outcome<'js, R> + 'js,
    ) -> Result<Function<'js>> {
        function(self.prototype.ctx(), &format!("get {name}"), 0, move |params| {
            Ok(get(&receive(params, name, 0)?)?.into_js(params.ctx())?)
        })
    }

    fn define_attribute(&self, name: &str, get: Function<'js>, set: Option<Function<'js>>) -> Result<&Self> {
        self.kit.function("accessor")?.call::<_, ()>((self.prototype.clone(), name, get, set))?;
        Ok(self)
    }

    fn member(
        &self,
        holder: &Object<'js>,
        name: &'static str,
        length: usize,
        called: impl Fn(&Params<'_, 'js>) -> Outcome<'js, Value<'js>> + 'js,
    ) -> Result<&Self> {
        let member = function(holder.ctx(), name, length, called)?;
        holder.prop(name, Property::from(member).writable().enumerable().configurable())?;
        Ok(self)
    }
}

/// A native function with this `name` and `length`; what it returns as thrown is thrown.
pub(crate) fn function<'js>(
    ctx: &Ctx<'js>,
    name: &str,
    length: usize,
    called: impl Fn(&Params<'_, 'js>) -> Outcome<'js, Value<'js>> + 'js,
) -> Result<Function<'js>> {
    let revoked = revocation(ctx)?;
    let native = Native(move |params: Params<'_, 'js>| {
        if revoked.is_cancelled() {
            return Err(stopped(params.ctx()));
        }
        called(&params).map_err(|thrown| thrown.throw(params.ctx()))
    });
    Function::new(ctx.clone(), native)?.with_name(name)?.with_length(length)
}

/// A function of the global that answers at once.
pub(crate) fn global_operation<'js, R: IntoJs<'js>>(
    ctx: &Ctx<'js>,
    name: &'static str,
    required: usize,
    operation: impl Fn(&Arguments<'js>) -> Outcome<'js, R> + 'js,
) -> Result<()> {
    let called = function(ctx, name, required, move |params| {
        check_global(params, name)?;
        check_count(params, name, required)?;
        Ok(operation(&Arguments::of(params))?.into_js(params.ctx())?)
    })?;
    ctx.globals().prop(name, Property::from(called).writable().enumerable().configurable())
}

/// A function of the global that returns a promise, and never throws.
pub(crate) fn global_promise<'js, F, R>(
    ctx: &Ctx<'js>,
    name: &'static str,
    required: usize,
    operation: impl Fn(&Arguments<'js>) -> Outcome<'js, F> + 'js,
) -> Result<()>
where
    F: Future<Output = Outcome<'js, R>> + 'js,
    R: IntoJs<'js> + 'js,
{
    let called = function(ctx, name, required, move |params| {
        let checked = check_global(params, name).and_then(|()| check_count(params, name, required));
        let begun = checked.and_then(|()| operation(&Arguments::of(params)));
        Ok(promised(params.ctx(), begun)?)
    })?;
    ctx.globals().prop(name, Property::from(called).writable().enumerable().configurable())
}

/// A function without receiver, for the prelude or the global.
pub(crate) fn native_operation<'js, R: IntoJs<'js>>(
    ctx: &Ctx<'js>,
    name: &'static str,
    required: usize,
    operation: impl Fn(&Arguments<'js>) -> Outcome<'js, R> + 'js,
) -> Result<Function<'js>> {
    function(ctx, name, required, move |params| {
        check_count(params, name, required)?;
        Ok(operation(&Arguments::of(params))?.into_js(params.ctx())?)
    })
}

/// A promise of what `begun` comes to.
///
/// What failed within the call rejects at once; all else settles from the host's loop.
pub(crate) fn promised<'js, F, R>(ctx: &Ctx<'js>, begun: Outcome<'js, F>) -> Result<Value<'js>>
where
    F: Future<Output = Outcome<'js, R>> + 'js,
    R: IntoJs<'js> + 'js,
{
    let (promise, resolve, reject) = ctx.promise()?;
    let future = match begun {
        Ok(future) => future,
        Err(thrown) => {
            let thrown = thrown.into_value(ctx);
            if thrown.is_uncatchable_error() {
                return Err(ctx.throw(thrown));
            }
            reject.call::<_, ()>((thrown,))?;
            return Ok(promise.into_value());
        }
    };
    let working = realm(ctx)?.work.begin();
    let ctx_later = ctx.clone();
    ctx.spawn(async move {
        let ctx = ctx_later;
        let outcome = future.await.and_then(|result| Ok(result.into_js(&ctx)?));
        let settled = match outcome {
            Ok(value) => resolve.call::<_, ()>((value,)),
            Err(thrown) => reject.call::<_, ()>((thrown.into_value(&ctx),)),
        };
        // Only a stopped engine refuses to settle its own promise; there is nobody left to tell.
        if settled.is_err() {
            ctx.catch();
        }
        // Each is a task of its own, and the microtasks that follow from it come before the next one.
        while ctx.execute_pending_job() {}
        drop(working);
    });
    Ok(promise.into_value())
}

/// The receiver, if it is of the interface, and the arguments, if they are enough.
fn receive<'js, T: JsClass<'js>>(params: &Params<'_, 'js>, name: &str, required: usize) -> Outcome<'js, Call<'js, T>> {
    let this = Class::<T>::from_value(&params.this());
    let this = this.map_err(|_| Thrown::type_error(format!("{}.{name}: called on something else", T::NAME)))?;
    check_count(params, name, required)?;
    Ok(Call { this, arguments: Arguments::of(params) })
}

/// The receiver of a member of the global: the global, or none at all.
fn check_global<'js>(params: &Params<'_, 'js>, name: &str) -> Outcome<'js, ()> {
    let this = params.this();
    if this.is_undefined() || this.is_null() || this == params.ctx().globals().into_value() {
        return Ok(());
    }
    Err(Thrown::type_error(format!("{name}: called on something else")))
}

fn check_count<'js>(params: &Params<'_, 'js>, name: &str, required: usize) -> Outcome<'js, ()> {
    let given = params.len();
    if given >= required {
        return Ok(());
    }
    let plural = if required == 1 { "" } else { "s" };
    Err(Thrown::type_error(format!("{name} needs {required} argument{plural}, but was given {given}")))
}

/// A native function that sees its call as it was made.
struct Native<F>(F);

/// Tells [`Native`]'s implementation apart from those of closures with typed parameters.
struct AsCalled;

impl<'js, F> IntoJsFunc<'js, AsCalled> for Native<F>
where
    F: for<'a> Fn(Params<'a, 'js>) -> Result<Value<'js>> + 'js,
{
    fn param_requirements() -> ParamRequirement {
        ParamRequirement::any()
    }

    fn call(&self, params: Params<'_, 'js>) -> Result<Value<'js>> {
        (self.0)(params)
    }
}

/// Freezes an array, as frozen array results are.
///
/// Spec: <https://webidl.spec.whatwg.org/#js-frozen-array>
pub(crate) fn frozen<'js>(ctx: &Ctx<'js>, items: Vec<Value<'js>>) -> Result<Value<'js>> {
    kit(ctx)?.function("freeze")?.call((items,))
}

/// Makes a type the native side of an interface's objects. One that holds values of the engine
/// (`Name<'js>`) implements `Trace` itself, so that the collector sees them.
macro_rules! interface {
    ($class:ident) => {
        impl<'js> rquickjs::class::Trace<'js> for $class {
            fn trace<'a>(&self, _: rquickjs::class::Tracer<'a, 'js>) {}
        }

        impl<'js> rquickjs::class::JsClass<'js> for $class {
            const NAME: &'static str = stringify!($class);
            type Mutable = rquickjs::class::Readable;

            fn constructor(_: &rquickjs::Ctx<'js>) -> rquickjs::Result<Option<rquickjs::function::Constructor<'js>>> {
                Ok(None)
            }
        }
    };
    ($class:ident<'js>) => {
        impl<'js> rquickjs::class::JsClass<'js> for $class<'js> {
            const NAME: &'static str = stringify!($class);
            type Mutable = rquickjs::class::Readable;

            fn constructor(_: &rquickjs::Ctx<'js>) -> rquickjs::Result<Option<rquickjs::function::Constructor<'js>>> {
                Ok(None)
            }
        }
    };
}
pub(crate) use interface;
