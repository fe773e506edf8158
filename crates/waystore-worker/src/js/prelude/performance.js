// Performance: the time since the context was made. Spec: https://w3c.github.io/hr-time/#sec-performance
export default function (kit) {
  const { EventTarget, now, timeOrigin } = kit;
  let making = false;

  class Performance extends EventTarget {
    #timeOrigin = timeOrigin;

    constructor() {
      if (!making) throw new TypeError("Performance: illegal constructor");
      super();
    }

    now() {
      return now() - this.#timeOrigin;
    }

    get timeOrigin() {
      return this.#timeOrigin;
    }

    toJSON() {
      return { timeOrigin: this.#timeOrigin };
    }
  }

  kit.expose(Performance);
  making = true;
  const performance = new Performance();
  making = false;
  kit.replaceable("performance", performance);
}
