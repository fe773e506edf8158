// Streams that are given away: what is left behind is locked, and is piped into what is received.
// Spec: https://streams.spec.whatwg.org/#rs-transfer
export default function (kit) {
  const S = kit.streams;
  const PIPE = S.pipeOptions();

  function moveReadable(stream) {
    if (S.stateOf(stream).native !== undefined) return kit.streamOf(kit.takeNative(stream));
    const { readable, writable } = S.makeTransform({});
    S.quiet(S.pipe(stream, writable, PIPE));
    return readable;
  }

  function moveWritable(stream) {
    const { readable, writable } = S.makeTransform({});
    S.quiet(S.pipe(readable, stream, PIPE));
    return writable;
  }

  kit.transferable({
    is: S.isStream,
    refusal: (stream) => (S.stateOf(stream).reader !== undefined ? "the stream is locked" : undefined),
    move: moveReadable,
  });
  kit.transferable({
    is: S.isWritable,
    refusal: (stream) => (S.isWritableLocked(stream) ? "the stream is locked" : undefined),
    move: moveWritable,
  });
  kit.transferable({
    is: S.isTransform,
    refusal(transform) {
      const { readable, writable } = S.sidesOf(transform);
      return S.stateOf(readable).reader !== undefined || S.isWritableLocked(writable) ? "a stream is locked" : undefined;
    },
    move(transform) {
      const { readable, writable } = S.sidesOf(transform);
      return S.transformOfSides({ readable: moveReadable(readable), writable: moveWritable(writable) });
    },
  });
}
