// What kind of view a value is, whatever a script did to its properties.
export default function (kit) {
  const { isView } = ArrayBuffer;
  const typedArray = Object.getPrototypeOf(Uint8Array.prototype);
  const getter = (name) => Function.prototype.call.bind(Object.getOwnPropertyDescriptor(typedArray, name).get);
  const kindOf = getter(Symbol.toStringTag);
  const lengthOf = getter("byteLength");

  // Kind and bytes of a typed array; ["DataView", 0] of the other view, and undefined of all else.
  kit.viewKind = (value) => {
    if (!isView(value)) return undefined;
    const kind = kindOf(value);
    return kind === undefined ? ["DataView", 0] : [kind, lengthOf(value)];
  };
}
