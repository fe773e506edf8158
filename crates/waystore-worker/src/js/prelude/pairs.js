// Iteration of interfaces that are lists of pairs: Headers, URLSearchParams.
// Spec: https://webidl.spec.whatwg.org/#js-iterable
export default function (kit) {
  const iteratorPrototype = Object.getPrototypeOf(Object.getPrototypeOf([][Symbol.iterator]()));

  // `at(object, index)` is the pair at an index of the live list, or undefined behind its end.
  kit.pairs = (Interface, name, at) => {
    const states = new WeakMap();
    const Iterator = {
      next() {
        const state = states.get(this);
        if (state === undefined) throw new TypeError(`${name} Iterator.next: called on something else`);
        const pair = at(state.object, state.index);
        if (pair === undefined) return { value: undefined, done: true };
        state.index += 1;
        return { value: state.select(pair), done: false };
      },
    };
    Object.setPrototypeOf(Iterator, iteratorPrototype);
    Object.defineProperty(Iterator, Symbol.toStringTag, { value: `${name} Iterator`, configurable: true });
    const iterate = (object, select) => {
      at(object, 0); // Throws where the receiver is something else.
      const iterator = Object.create(Iterator);
      states.set(iterator, { object, index: 0, select });
      return iterator;
    };
    const members = {
      entries() {
        return iterate(this, (pair) => pair);
      },
      forEach(callback, receiver = undefined) {
        at(this, 0);
        if (typeof callback !== "function") throw new TypeError("forEach needs a function");
        let pair;
        for (let index = 0; (pair = at(this, index)) !== undefined; index++) {
          callback.call(receiver, pair[1], pair[0], this);
        }
      },
      keys() {
        return iterate(this, (pair) => pair[0]);
      },
      values() {
        return iterate(this, (pair) => pair[1]);
      },
    };
    for (const [key, value] of Object.entries(members)) {
      Object.defineProperty(Interface.prototype, key, { value, writable: true, enumerable: true, configurable: true });
    }
    Object.defineProperty(Interface.prototype, Symbol.iterator, { value: members.entries, writable: true, configurable: true });
  };
}
