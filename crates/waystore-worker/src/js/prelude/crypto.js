// The crypto object. Its subtle half comes later. Spec: https://w3c.github.io/webcrypto/#Crypto-interface
(function (kit) {
  "use strict";
  let making = false;
  const INTEGERS = [
    "Int8Array", "Uint8Array", "Uint8ClampedArray", "Int16Array", "Uint16Array",
    "Int32Array", "Uint32Array", "BigInt64Array", "BigUint64Array",
  ];

  class Crypto {
    constructor() {
      if (!making) throw new TypeError("Crypto: illegal constructor");
    }

    getRandomValues(view) {
      if (!ArrayBuffer.isView(view)) throw new TypeError("getRandomValues needs a typed array");
      if (!INTEGERS.includes(view[Symbol.toStringTag])) {
        throw kit.domException("getRandomValues needs an array of integers", "TypeMismatchError");
      }
      return kit.randomBytes(view, view.byteLength);
    }

    randomUUID() {
      return kit.randomUUID();
    }
  }

  kit.expose(Crypto);
  making = true;
  kit.globalAttribute("crypto", new Crypto());
  making = false;
})
