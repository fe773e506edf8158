// MessageEvent, MessageChannel and MessagePort: messages are clones, delivered one a task.
// Spec: https://html.spec.whatwg.org/#message-ports
(function (kit) {
  "use strict";
  const { Event, EventTarget, dispatch, domException, serialize, transferOf, trust } = kit;
  const { setTimeout: task } = globalThis;
  const { freeze } = Object;
  const isObject = (value) => typeof value === "function" || (typeof value === "object" && value !== null);
  let making = false;
  let stateOf;
  let isPort;

  class MessageEvent extends Event {
    #init;

    constructor(type, init = {}) {
      super(...arguments);
      const { data = null, lastEventId = "", origin = "", ports = [], source = null } = init ?? {};
      if (source !== null && !isObject(source)) throw new TypeError("`source` is not what messages come from");
      const list = [...ports];
      if (!list.every(isPort)) throw new TypeError("`ports` must be MessagePorts");
      this.#init = { data, lastEventId: `${lastEventId}`, origin: `${origin}`, ports: freeze(list), source };
    }

    get data() {
      return this.#init.data;
    }

    get lastEventId() {
      return this.#init.lastEventId;
    }

    get origin() {
      return this.#init.origin;
    }

    get ports() {
      return this.#init.ports;
    }

    get source() {
      return this.#init.source;
    }
  }

  class MessagePort extends EventTarget {
    // other: the port at the other end; detached: closed, or given away; queue: what waits here.
    #state = { other: undefined, detached: false, started: false, queue: [], scheduled: false };

    static {
      stateOf = (port) => port.#state;
      isPort = (value) => isObject(value) && #state in value;
    }

    constructor() {
      if (!making) throw new TypeError("MessagePort: illegal constructor");
      super();
    }

    close() {
      const state = this.#state;
      const { other } = state;
      disentangle(this);
      state.detached = true;
      if (other !== undefined) task(() => dispatch(other, trust(new Event("close"))), 0);
    }

    postMessage(message, options = undefined) {
      const state = this.#state;
      if (arguments.length === 0) throw new TypeError("postMessage needs 1 argument, but was given 0");
      const transfer = [...transferOf(options)];
      if (transfer.includes(this)) throw domException("a port cannot be sent through itself", "DataCloneError");
      const { other } = state;
      const isDoomed = transfer.includes(other);
      const sent = serialize(message, transfer);
      // A port that is sent to itself, by its other end, is nobody's any more.
      if (other === undefined || isDoomed) return;
      const receiving = stateOf(other);
      receiving.queue.push(sent);
      schedule(other, receiving);
    }

    start() {
      start(this, this.#state);
    }
  }

  class MessageChannel {
    #ports = [newPort(), newPort()];

    constructor() {
      const [one, two] = this.#ports;
      stateOf(one).other = two;
      stateOf(two).other = one;
    }

    get port1() {
      return this.#ports[0];
    }

    get port2() {
      return this.#ports[1];
    }
  }

  function newPort() {
    making = true;
    try {
      return new MessagePort();
    } finally {
      making = false;
    }
  }

  function disentangle(port) {
    const state = stateOf(port);
    if (state.other !== undefined) stateOf(state.other).other = undefined;
    state.other = undefined;
  }

  function start(port, state) {
    state.started = true;
    schedule(port, state);
  }

  // One message a task, so that others have their turn in between.
  function schedule(port, state) {
    if (state.scheduled || !state.started || state.detached || state.queue.length === 0) return;
    state.scheduled = true;
    task(() => {
      state.scheduled = false;
      const sent = state.queue.shift();
      if (sent === undefined || state.detached) return;
      schedule(port, state);
      dispatch(port, trust(received(sent, {})));
    }, 0);
  }

  // The event that brings what was sent.
  function received({ revive, moved }, init) {
    try {
      return new MessageEvent("message", { ...init, data: revive(), ports: moved.filter(isPort) });
    } catch {
      return new MessageEvent("messageerror", init);
    }
  }

  kit.transferable({
    is: isPort,
    refusal: (port) => (stateOf(port).detached ? "the port is closed, or was sent already" : undefined),
    move(port) {
      const state = stateOf(port);
      const moved = newPort();
      const { other, queue } = state;
      Object.assign(stateOf(moved), { other, queue });
      if (other !== undefined) stateOf(other).other = moved;
      Object.assign(state, { other: undefined, queue: [], detached: true });
      return moved;
    },
  });

  kit.MessageEvent = kit.expose(MessageEvent);
  kit.expose(MessagePort);
  kit.expose(MessageChannel);
  kit.handler(MessagePort.prototype, "message");
  kit.handler(MessagePort.prototype, "messageerror");
  kit.handler(MessagePort.prototype, "close");
  // Who sets `onmessage` starts the port; who adds a listener does that himself.
  const { get, set } = Object.getOwnPropertyDescriptor(MessagePort.prototype, "onmessage");
  const setHandler = Function.prototype.call.bind(set);
  kit.accessor(MessagePort.prototype, "onmessage", get, function (callback) {
    setHandler(this, callback);
    start(this, stateOf(this));
  });
  kit.isPort = isPort;
  kit.received = received;
})
