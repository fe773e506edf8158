// AbortController and AbortSignal. Spec: https://dom.spec.whatwg.org/#aborting-ongoing-activities
export default function (kit) {
  const { Event, EventTarget, domException, dispatch, trust } = kit;
  let making = false;
  // Opened by the class below, for the functions of the kit.
  let stateOf;
  let isSignal;
  // Signals that are listened to and wait for a time to pass.
  const timed = new Set();

  class AbortSignal extends EventTarget {
    // aborted, reason; algorithms: what runs on abort; sources: the signals this one follows;
    // followers: signals that follow this one and are listened to, so that they must live;
    // token: the native side's signal, once it asked for one; guard: ends the native watcher.
    #state = {
      aborted: false, reason: undefined, algorithms: [], sources: [], followers: new Set(), token: undefined,
      guard: undefined, waitsForTime: false,
    };

    static {
      stateOf = (signal) => signal.#state;
      isSignal = (value) => typeof value === "object" && value !== null && #state in value;
    }

    constructor() {
      if (!making) throw new TypeError("AbortSignal: illegal constructor");
      super();
    }

    static abort(reason = undefined) {
      const signal = make();
      const state = stateOf(signal);
      state.aborted = true;
      state.reason = reason === undefined ? aborted() : reason;
      return signal;
    }

    static timeout(milliseconds) {
      if (arguments.length === 0) throw new TypeError("timeout needs 1 argument, but was given 0");
      const duration = Math.trunc(Number(milliseconds));
      if (!(duration >= 0 && duration <= Number.MAX_SAFE_INTEGER)) throw new TypeError("not a number of milliseconds");
      const signal = make();
      // Who neither holds the signal nor listens to it does not wait for it.
      stateOf(signal).waitsForTime = true;
      const reference = new WeakRef(signal);
      kit.after(duration, () => {
        const held = reference.deref();
        if (held) abort(held, domException("the operation timed out", "TimeoutError"));
      });
      return signal;
    }

    static any(signals) {
      if (arguments.length === 0) throw new TypeError("any needs 1 argument, but was given 0");
      const sources = [...signals];
      if (!sources.every(isSignal)) throw new TypeError("any: not a sequence of AbortSignals");
      return follow(sources);
    }

    get aborted() {
      return this.#state.aborted;
    }

    get reason() {
      return this.#state.reason;
    }

    throwIfAborted() {
      if (this.#state.aborted) throw this.#state.reason;
    }
  }

  class AbortController {
    #signal = make();

    get signal() {
      return this.#signal;
    }

    abort(reason = undefined) {
      abort(this.#signal, reason === undefined ? aborted() : reason);
    }
  }

  function make() {
    making = true;
    try {
      return new AbortSignal();
    } finally {
      making = false;
    }
  }

  function aborted() {
    return domException("the operation was aborted", "AbortError");
  }

  // A signal that is aborted with the first of `sources` that is.
  function follow(sources) {
    const signal = make();
    const state = stateOf(signal);
    const first = sources.find((source) => stateOf(source).aborted);
    if (first) {
      state.aborted = true;
      state.reason = stateOf(first).reason;
      return signal;
    }
    // Sources hold the signal weakly, until somebody listens to it.
    const reference = new WeakRef(signal);
    for (const source of sources) {
      state.sources.push(source);
      const held = stateOf(source);
      held.algorithms = held.algorithms.filter((algorithm) => algorithm.alive === undefined || algorithm.alive());
      const algorithm = () => {
        const follower = reference.deref();
        if (follower) abort(follower, stateOf(source).reason);
      };
      algorithm.alive = () => reference.deref() !== undefined;
      held.algorithms.push(algorithm);
    }
    return signal;
  }

  // Spec: https://dom.spec.whatwg.org/#abortsignal-signal-abort
  function abort(signal, reason) {
    const state = stateOf(signal);
    if (state.aborted) return;
    state.aborted = true;
    state.reason = reason;
    state.guard = undefined;
    timed.delete(signal);
    if (state.token) kit.cancelToken(state.token);
    const algorithms = state.algorithms;
    state.algorithms = [];
    const own = algorithms.filter((algorithm) => algorithm.alive === undefined);
    const dependent = algorithms.filter((algorithm) => algorithm.alive !== undefined);
    for (const algorithm of own) algorithm();
    dispatch(signal, trust(new Event("abort")));
    for (const algorithm of dependent) algorithm();
    // Not before: the followers were held by this until they were told.
    state.followers.clear();
  }

  kit.expose(AbortSignal);
  kit.expose(AbortController);
  kit.handler(AbortSignal.prototype, "abort");

  // Somebody listens: the signal lives as long as what may abort it.
  function keep(signal) {
    const state = stateOf(signal);
    if (state.aborted) return;
    if (state.waitsForTime) timed.add(signal);
    for (const source of state.sources) {
      stateOf(source).followers.add(signal);
      keep(source);
    }
  }

  const heardBefore = kit.heard;
  kit.heard = (target, type) => {
    heardBefore?.(target, type);
    if (type === "abort" && isSignal(target)) keep(target);
  };

  kit.isAbortSignal = isSignal;
  kit.whenAborted = (signal, algorithm) => {
    keep(signal);
    stateOf(signal).algorithms.push(algorithm);
  };
  // The same, until what it returns is called.
  kit.whileUnaborted = (signal, algorithm) => {
    kit.whenAborted(signal, algorithm);
    return () => {
      const state = stateOf(signal);
      state.algorithms = state.algorithms.filter((known) => known !== algorithm);
    };
  };
  kit.followSignal = (source) => follow([source]);
  kit.newSignal = make;
  kit.abortSignal = (signal, reason) => abort(signal, reason === undefined ? aborted() : reason);

  // The native signal behind `signal`, made when first asked for.
  kit.tokenOf = (signal) => {
    const state = stateOf(signal);
    if (state.token === undefined) {
      state.token = kit.newToken();
      if (state.aborted) kit.cancelToken(state.token);
    }
    return state.token;
  };

  // A signal that is aborted with the native one behind `token`.
  kit.signalOfToken = (token) => {
    const signal = make();
    const state = stateOf(signal);
    state.token = token;
    const reference = new WeakRef(signal);
    state.guard = kit.watchToken(token, () => {
      const held = reference.deref();
      if (held) abort(held, aborted());
    });
    return signal;
  };
}
