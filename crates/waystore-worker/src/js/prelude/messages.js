// MessageEvent, MessageChannel and MessagePort: messages are clones, delivered one a task.
// Spec: https://html.spec.whatwg.org/#message-ports
export default function (kit) {
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

    initMessageEvent(
      type, bubbles = false, cancelable = false, data = null, origin = "", lastEventId = "", source = null, ports = [],
    ) {
      const init = this.#init;
      if (arguments.length === 0) throw new TypeError("initMessageEvent needs 1 argument, but was given 0");
      if (!kit.initEvent(this, type, bubbles, cancelable)) return;
      Object.assign(init, { data, origin: `${origin}`, lastEventId: `${lastEventId}`, source, ports: freeze([...ports]) });
    }
  }

  class MessagePort extends EventTarget {
    // other: the port at the other end; remote: the number of its native end, where the other end is outside of
    // this context; detached: closed, or given away; queue: what waits here.
    #state = { other: undefined, remote: undefined, detached: false, started: false, queue: [], scheduled: false };

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
      const { other, remote } = state;
      disentangle(this);
      state.detached = true;
      if (remote !== undefined) kit.closeRemote(remote);
      if (other !== undefined) task(() => dispatch(other, trust(new Event("close"))), 0);
    }

    postMessage(message, options = undefined) {
      const state = this.#state;
      if (arguments.length === 0) throw new TypeError("postMessage needs 1 argument, but was given 0");
      const transfer = [...transferOf(options)];
      if (transfer.includes(this)) throw domException("a port cannot be sent through itself", "DataCloneError");
      const { other, remote } = state;
      if (remote !== undefined) {
        const { text, ports } = kit.pack(message, transfer);
        kit.sendRemote(remote, text, ports);
        return;
      }
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
    state.remote = undefined;
  }

  function start(port, state) {
    const { started, remote } = state;
    state.started = true;
    if (remote !== undefined && !started) listen(port, remote);
    else schedule(port, state);
  }

  // From now on the native end gives what comes; it is kept as long as something may come.
  const listening = new Map();
  function listen(port, remote) {
    listening.set(remote, port);
    kit.listenRemote(remote);
  }

  // Something came for a native end; each is a task of its own.
  kit.remoteArrived = (number, text, ports) => {
    const port = listening.get(number);
    if (port !== undefined) dispatch(port, trust(arrived(text, ports, {}, MessageEvent)), kit.checkpoint);
  };

  // Nobody is at the other end any more.
  kit.remoteClosed = (number) => {
    const port = listening.get(number);
    listening.delete(number);
    if (port === undefined) return;
    Object.assign(stateOf(port), { remote: undefined, detached: true });
    dispatch(port, trust(new Event("close")), kit.checkpoint);
  };

  // The event that brings what was written down elsewhere.
  function arrived(text, numbers, init, Interface) {
    try {
      const { value, ports } = kit.unpack(text, numbers);
      return new Interface("message", { ...init, data: value, ports });
    } catch {
      for (const number of numbers) kit.closeRemote(number);
      return new Interface("messageerror", init);
    }
  }
  kit.arrived = arrived;

  // Takes a port out of this context; returns the number of the native end that is sent in its place.
  kit.exportPort = (port) => {
    const state = stateOf(port);
    const { other, remote, queue } = state;
    Object.assign(state, { other: undefined, remote: undefined, queue: [], detached: true });
    if (remote !== undefined) {
      listening.delete(remote);
      return remote;
    }
    const [here, away] = kit.newRemotes();
    for (const sent of queue) {
      const { data, ports } = received(sent, {});
      const packed = kit.pack(data, ports);
      kit.sendRemote(here, packed.text, packed.ports);
    }
    if (other === undefined) {
      kit.closeRemote(here);
      return away;
    }
    const otherState = stateOf(other);
    Object.assign(otherState, { other: undefined, remote: here });
    if (otherState.started) listen(other, here);
    return away;
  };

  // The port for a native end that came with a message.
  kit.importPort = (number) => {
    const port = newPort();
    stateOf(port).remote = number;
    return port;
  };

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
      const { other, remote, queue } = state;
      Object.assign(stateOf(moved), { other, remote, queue });
      if (other !== undefined) stateOf(other).other = moved;
      if (remote !== undefined) {
        // What comes meanwhile waits outside.
        listening.delete(remote);
        kit.pauseRemote(remote);
      }
      Object.assign(state, { other: undefined, remote: undefined, queue: [], detached: true });
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
  const starting = {
    set(callback) {
      setHandler(this, callback);
      start(this, stateOf(this));
    },
  };
  kit.accessor(MessagePort.prototype, "onmessage", get, Object.getOwnPropertyDescriptor(starting, "set").value);
  kit.isPort = isPort;
  kit.received = received;
}
