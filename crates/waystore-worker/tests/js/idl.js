// What a browser shows of each interface: its object, its members, and what they refuse.
const TABLE = `
EventTarget(0) | addEventListener/2 dispatchEvent/1 removeEventListener/2
Event(1) | type target srcElement currentTarget composedPath/0 #NONE #CAPTURING_PHASE #AT_TARGET #BUBBLING_PHASE eventPhase stopPropagation/0 cancelBubble= stopImmediatePropagation/0 bubbles cancelable returnValue= preventDefault/0 defaultPrevented composed timeStamp initEvent/1
CustomEvent(1) : Event | detail initCustomEvent/1
ErrorEvent(1) : Event | message filename lineno colno error
PromiseRejectionEvent(2) : Event | promise reason
MessageEvent(1) : Event | data origin lastEventId source ports initMessageEvent/1
AbortController(0) | signal abort/0
AbortSignal() : EventTarget | +abort/0 +timeout/1 +any/1 aborted reason throwIfAborted/0 onabort=
Headers(0) | append/2 delete/1 get/1 getSetCookie/0 has/1 set/2 entries/0 forEach/1 keys/0 values/0
Request(1) | method url headers destination referrer referrerPolicy mode credentials cache redirect integrity keepalive isReloadNavigation isHistoryNavigation signal duplex clone/0 body bodyUsed arrayBuffer/0! blob/0! bytes/0! formData/0! json/0! text/0! textStream/0
Response(0) | +error/0 +redirect/1 +json/1 type url redirected status ok statusText headers clone/0 body bodyUsed arrayBuffer/0! blob/0! bytes/0! formData/0! json/0! text/0! textStream/0
Blob(0) | size type slice/0 stream/0 textStream/0 text/0! arrayBuffer/0! bytes/0!
File(2) : Blob | name lastModified webkitRelativePath
FileReader(0) : EventTarget | readAsArrayBuffer/1 readAsBinaryString/1 readAsText/1 readAsDataURL/1 abort/0 #EMPTY #LOADING #DONE readyState result error onloadstart= onprogress= onload= onabort= onerror= onloadend=
ProgressEvent(1) : Event | lengthComputable loaded total
FormData(0) | append/2 delete/1 get/1 getAll/1 has/1 set/2 entries/0 forEach/1 keys/0 values/0
URL(1) | +canParse/1 +parse/1 href= origin protocol= username= password= host= hostname= port= pathname= search= searchParams hash= toJSON/0 toString/0
URLSearchParams(0) | size append/2 delete/1 get/1 getAll/1 has/1 set/2 sort/0 toString/0 entries/0 forEach/1 keys/0 values/0
URLPattern(0) | test/0 exec/0 protocol username password hostname port pathname search hash hasRegExpGroups
ReadableStream(0) | +from/1 locked cancel/0! getReader/0 pipeThrough/1 pipeTo/1! tee/0 values/0
ReadableStreamDefaultReader(1) | closed! cancel/0! read/0! releaseLock/0
ReadableStreamBYOBReader(1) | closed! cancel/0! read/1! releaseLock/0
ReadableStreamDefaultController() | desiredSize close/0 enqueue/0 error/0
ReadableByteStreamController() | byobRequest desiredSize close/0 enqueue/1 error/0
ReadableStreamBYOBRequest() | view respond/1 respondWithNewView/1
WritableStream(0) | locked abort/0! close/0! getWriter/0
WritableStreamDefaultWriter(1) | closed! desiredSize ready! abort/0! close/0! releaseLock/0 write/0!
WritableStreamDefaultController() | signal error/0
TransformStream(0) | readable writable
TransformStreamDefaultController() | desiredSize enqueue/0 error/0 terminate/0
ByteLengthQueuingStrategy(1) | highWaterMark size
CountQueuingStrategy(1) | highWaterMark size
TextEncoder(0) | encoding encode/0 encodeInto/2
TextDecoder(0) | encoding fatal ignoreBOM decode/0
TextEncoderStream(0) | encoding readable writable
TextDecoderStream(0) | encoding fatal ignoreBOM readable writable
CompressionStream(1) | readable writable
DecompressionStream(1) | readable writable
MessageChannel(0) | port1 port2
MessagePort() : EventTarget | postMessage/1 start/0 close/0 onclose= onmessage= onmessageerror=
BroadcastChannel(1) : EventTarget | name postMessage/1 close/0 onmessage= onmessageerror=
DOMException(0) | name message code #INDEX_SIZE_ERR #DOMSTRING_SIZE_ERR #HIERARCHY_REQUEST_ERR #WRONG_DOCUMENT_ERR #INVALID_CHARACTER_ERR #NO_DATA_ALLOWED_ERR #NO_MODIFICATION_ALLOWED_ERR #NOT_FOUND_ERR #NOT_SUPPORTED_ERR #INUSE_ATTRIBUTE_ERR #INVALID_STATE_ERR #SYNTAX_ERR #INVALID_MODIFICATION_ERR #NAMESPACE_ERR #INVALID_ACCESS_ERR #VALIDATION_ERR #TYPE_MISMATCH_ERR #SECURITY_ERR #NETWORK_ERR #ABORT_ERR #URL_MISMATCH_ERR #QUOTA_EXCEEDED_ERR #TIMEOUT_ERR #INVALID_NODE_TYPE_ERR #DATA_CLONE_ERR
QuotaExceededError(0) : DOMException | quota requested
Crypto() | subtle getRandomValues/1 randomUUID/0
SubtleCrypto() | digest/2!
Performance() : EventTarget | now/0 timeOrigin toJSON/0
Cache() | match/1! matchAll/0! add/1! addAll/1! put/2! delete/1! keys/0!
CacheStorage() | match/1! has/1! open/1! delete/1! keys/0!
StorageManager() | persisted/0! estimate/0!
StorageBucketManager() | open/1! keys/0! delete/1!
StorageBucket() | name persisted/0! estimate/0! setExpires/1! expires/0! caches
WorkerGlobalScope() : EventTarget | onerror= onlanguagechange= onoffline= ononline= onrejectionhandled= onunhandledrejection= fetch/1! caches crypto performance= atob/1 btoa/1 setTimeout/1 setInterval/1 clearTimeout/0 clearInterval/0 queueMicrotask/1 structuredClone/1 reportError/1 self location navigator origin= isSecureContext crossOriginIsolated
WorkerLocation() | href origin protocol host hostname port pathname search hash toString/0
WorkerNavigator() | userAgent onLine language languages hardwareConcurrency storage storageBuckets appCodeName appName appVersion platform product
`;

test("interfaces are as a browser shows them", async () => is(await checkInterfaces(TABLE), ""));

test("what a page alone has is absent", () => {
  for (const name of ["window", "document", "parent", "localStorage", "sessionStorage", "XMLHttpRequest", "Worker", "SharedWorker", "alert", "DOMParser", "FileReaderSync", "Window"]) {
    is(name in self, false, name);
  }
  is("createObjectURL" in URL, false);
});

test("globals are those of a worker", () => {
  is(self instanceof WorkerGlobalScope && self instanceof EventTarget, true);
  is(Object.prototype.toString.call(self), "[object WorkerGlobalScope]");
  is([self.isSecureContext, self.crossOriginIsolated, self.origin], [true, false, "https://a.test"]);
  is(String(location), location.href);
  is([location.protocol, location.host, location.hostname, location.port, location.pathname, location.search, location.hash],
    ["https:", "a.test", "a.test", "", "/app/sw.js", "", ""]);
  is([typeof navigator.userAgent, navigator.onLine, navigator.language, navigator.languages.join(), Object.isFrozen(navigator.languages)],
    ["string", true, "en", "en", true]);
  is(navigator.hardwareConcurrency >= 1, true);
  throws(TypeError, () => (location = 1));
  throws(TypeError, () => (self.self = 1));
  performance = 5;
  is(performance, 5);
  is("SharedArrayBuffer" in self, false);
});

test("an event's isTrusted is its own, and cannot be changed", () => {
  for (const event of [new Event("a"), new CustomEvent("a"), new (class extends Event {})("a")]) {
    const { get, set, enumerable, configurable } = Object.getOwnPropertyDescriptor(event, "isTrusted");
    is([get.name, set, enumerable, configurable], ["get isTrusted", undefined, true, false]);
    is(event.isTrusted, false);
    throws(TypeError, () => get.call({}));
    throws(TypeError, () => (event.isTrusted = true));
  }
  is("isTrusted" in Event.prototype, false);
});

test("the console is a namespace whose prototype is empty", () => {
  const above = Object.getPrototypeOf(console);
  is([Object.getOwnPropertyNames(above).length, Object.getPrototypeOf(above) === Object.prototype], [0, true]);
  is([console.log.length, console.dir.length, console.table.length], [0, 0, 0]);
});

test("operations of the global are functions of their names and lengths", () => {
  const operations = {
    atob: 1, btoa: 1, clearInterval: 0, clearTimeout: 0, fetch: 1, queueMicrotask: 1, reportError: 1, setInterval: 1,
    setTimeout: 1, structuredClone: 1,
  };
  for (const [name, length] of Object.entries(operations)) {
    is(Object.hasOwn(self, name), false, name);
    const { value, writable, enumerable, configurable } = Object.getOwnPropertyDescriptor(WorkerGlobalScope.prototype, name);
    is([value.name, value.length, writable && enumerable && configurable], [name, length, true], name);
  }
});

test("an event handler is what was set, if that is an object", () => {
  const signal = new AbortController().signal;
  const callback = () => {};
  for (const [set, got] of [[callback, callback], [undefined, null], [1, null], ["x", null], [null, null]]) {
    signal.onabort = set;
    is(signal.onabort, got);
  }
  const object = { handleEvent() { throw new Error("handlers are called themselves") } };
  signal.onabort = object;
  is(signal.onabort, object);
  signal.dispatchEvent(new Event("abort"));
});

test("an event can be made anew while it is not dispatched", () => {
  const event = new CustomEvent("a", { detail: 1 });
  event.initCustomEvent("b", true, true, 2);
  is([event.type, event.bubbles, event.cancelable, event.detail], ["b", true, true, 2]);
  event.initEvent("c");
  is([event.type, event.bubbles, event.cancelable], ["c", false, false]);
  const target = new EventTarget();
  target.addEventListener("c", (event) => event.initEvent("d"));
  target.dispatchEvent(event);
  is(event.type, "c");
  const message = new MessageEvent("x");
  message.initMessageEvent("message", false, false, "data", "https://a.test", "7", null, []);
  is([message.data, message.origin, message.lastEventId, message.ports.length], ["data", "https://a.test", "7", 0]);
  throws(TypeError, () => event.initEvent());
});

test("a body can be read as a stream of text", async () => {
  const read = async (stream) => {
    let text = "";
    for await (const chunk of stream) text += chunk;
    return text;
  };
  is(await read(new Response("\uFEFFé").textStream()), "é");
  is(await read(new Response().textStream()), "");
  const used = new Response("x");
  await used.text();
  throws(TypeError, () => used.textStream());
  is(await read(new Blob(["\uFEFFé"]).textStream()), "é");
  const request = new Request("/", { method: "POST", body: "b" });
  is(await read(request.textStream()), "b");
  is(request.bodyUsed, true);
});
