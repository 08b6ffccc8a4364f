/** The sessions that every trial uses: the same keys and entries for every peer, made from their number alone. */

/** The key of session number `index`. */
export function keyOf(index) {
  return `agent:main:telegram:direct:user-${String(index).padStart(7, "0")}`;
}

const baseMs = 1_760_000_000_000;

/** An entry of about `bytes` bytes of JSON: the fields of a conversation, and the large ones that real entries carry. */
export function entryOf(index, bytes) {
  const entry = {
    sessionId: `00000000-0000-4000-8000-${String(index).padStart(12, "0")}`,
    // Spread so that the order by time is not the order by key.
    updatedAt: baseMs + ((index * 7_919) % 10_000_019),
    channel: "telegram",
    chatType: "direct",
    model: "some-model-1",
    modelProvider: "some-provider",
    inputTokens: index % 50_000,
    outputTokens: index % 7_000,
    totalTokens: index % 57_000,
    lastTo: `user-${index}`,
    deliveryContext: { channel: "telegram", to: `user-${index}`, accountId: "default" },
    origin: { provider: "telegram", surface: "telegram", chatType: "direct", from: `user-${index}` },
  };
  const rest = bytes - Buffer.byteLength(JSON.stringify(entry)) - 40;
  const words = "a skill that looks things up, writes notes and reports what it found. ";
  if (rest > 0) {
    const prompt = words.repeat(Math.ceil(rest / words.length)).slice(0, rest);
    entry.skillsSnapshot = { prompt, skills: [] };
  }
  return entry;
}

/** A small linear generator: the same sequence of sessions for every peer. */
export function picker(seed, count) {
  let state = seed >>> 0;
  return () => {
    state = (Math.imul(state, 1_664_525) + 1_013_904_223) >>> 0;
    return Math.floor((state / 4_294_967_296) * count);
  };
}

/** What an inbound message changes. */
export function touched(entry, round) {
  return { ...entry, updatedAt: entry.updatedAt + 1_000 + round, inputTokens: entry.inputTokens + 1 };
}
