// Checks its own global against the standards' definitions, with the harness of the Web Platform Tests; the page asks for the results.

importScripts("/testharness.js", "/webidl2.js", "/idlharness.js");

const results = new Promise((resolve) => {
  add_completion_callback((tests, { status, message }) => {
    const failed = tests.filter(({ status }) => status !== 0).map(({ name, message }) => ({ name, message }));
    resolve({ status, message, passed: tests.length - failed.length, failed });
  });
});

addEventListener("fetch", (event) => {
  if (event.request.url.endsWith("/results")) event.respondWith(results.then((told) => Response.json(told)));
});

// One object of each interface at least, where there can be one.
const objects = {
  AbortController: ["new AbortController()"],
  AbortSignal: ["new AbortController().signal"],
  Blob: ["new Blob()"],
  BroadcastChannel: ["new BroadcastChannel('x')"],
  ByteLengthQueuingStrategy: ["new ByteLengthQueuingStrategy({ highWaterMark: 1 })"],
  Cache: ["self.cache"],
  CacheStorage: ["caches"],
  Clients: ["clients"],
  CompressionStream: ["new CompressionStream('gzip')"],
  CountQueuingStrategy: ["new CountQueuingStrategy({ highWaterMark: 1 })"],
  Crypto: ["crypto"],
  CustomEvent: ["new CustomEvent('x')"],
  DOMException: ["new DOMException()"],
  DecompressionStream: ["new DecompressionStream('gzip')"],
  ErrorEvent: ["new ErrorEvent('x')"],
  Event: ["new Event('x')"],
  EventTarget: ["new EventTarget()"],
  ExtendableEvent: ["new ExtendableEvent('x')"],
  ExtendableMessageEvent: ["new ExtendableMessageEvent('x')"],
  FetchEvent: ["new FetchEvent('x', { request: new Request('/') })"],
  File: ["new File([], 'x')"],
  FileReader: ["new FileReader()"],
  FormData: ["new FormData()"],
  Headers: ["new Headers()"],
  InstallEvent: ["new InstallEvent('install')"],
  MessageChannel: ["new MessageChannel()"],
  MessageEvent: ["new MessageEvent('x')"],
  MessagePort: ["new MessageChannel().port1"],
  NavigationPreloadManager: ["registration.navigationPreload"],
  Performance: ["performance"],
  ProgressEvent: ["new ProgressEvent('x')"],
  PromiseRejectionEvent: ["new PromiseRejectionEvent('x', { promise: Promise.resolve() })"],
  QuotaExceededError: ["new QuotaExceededError()"],
  ReadableStream: ["new ReadableStream()"],
  ReadableStreamBYOBReader: ["new ReadableStream({ type: 'bytes' }).getReader({ mode: 'byob' })"],
  ReadableStreamDefaultReader: ["new ReadableStream().getReader()"],
  Request: ["new Request('/')"],
  Response: ["new Response()"],
  ServiceWorker: ["serviceWorker"],
  ServiceWorkerGlobalScope: ["self"],
  ServiceWorkerRegistration: ["registration"],
  StorageBucketManager: ["navigator.storageBuckets"],
  StorageManager: ["navigator.storage"],
  SubtleCrypto: ["crypto.subtle"],
  TextDecoder: ["new TextDecoder()"],
  TextDecoderStream: ["new TextDecoderStream()"],
  TextEncoder: ["new TextEncoder()"],
  TextEncoderStream: ["new TextEncoderStream()"],
  TransformStream: ["new TransformStream()"],
  URL: ["new URL('https://a.test')"],
  URLPattern: ["new URLPattern()"],
  URLSearchParams: ["new URLSearchParams()"],
  WorkerLocation: ["location"],
  WorkerNavigator: ["navigator"],
  WritableStream: ["new WritableStream()"],
  WritableStreamDefaultWriter: ["new WritableStream().getWriter()"],
};

promise_test(async () => {
  self.cache = await caches.open("interfaces");
  const interfaces = new IdlArray();
  interfaces.add_idls(await (await fetch("/interfaces.idl")).text());
  interfaces.add_objects(objects);
  interfaces.test();
}, "the definitions are read");
