/**
 * Finds the code blocks of a Markdown document. What happens to a block is said by the words after its language:
 *
 *     ```ts            type-checked
 *     ```ts continue   type-checked after the text of the ts block before it
 *     ```ts run        type-checked and executed
 *     ```sh run        executed
 *     ```sh no-check: needs a Postgres server      shown only; the reason is required
 */

const checkedLanguages = new Map([
  ["ts", "ts"],
  ["typescript", "ts"],
  ["js", "js"],
  ["javascript", "js"],
  ["mjs", "js"],
  ["sh", "sh"],
  ["bash", "sh"],
  ["shell", "sh"],
]);

/** The blocks in ts, js and sh; `problem` is set when a block does not say what is to be done with it. */
export function findBlocks(document, text) {
  const blocks = [];
  let open;
  text.split("\n").forEach((line, index) => {
    const fence = /^( *)(`{3,}|~{3,})(.*)$/.exec(line);
    if (open === undefined && fence) {
      open = { document, line: index + 1, fence: fence[2], indent: fence[1].length, info: fence[3].trim(), lines: [] };
    } else if (fence?.[2].startsWith(open.fence) && fence[3].trim() === "") {
      const block = describeBlock(open, blocks);
      if (block !== undefined) blocks.push(block);
      open = undefined;
    } else if (open !== undefined) {
      open.lines.push(line.slice(Math.min(open.indent, line.length - line.trimStart().length)));
    }
  });
  return blocks;
}

function describeBlock({ document, line, info, lines }, before) {
  const [word = "", ...words] = info.split(/\s+/);
  const language = checkedLanguages.get(word.toLowerCase());
  if (language === undefined) return undefined;
  const block = { document, line, language, text: `${lines.join("\n")}\n`, run: words.includes("run") };
  const marks = words.join(" ");
  if (/^no-check/.test(marks)) {
    const reason = /^no-check:\s*(\S.*)$/.exec(marks)?.[1];
    return { ...block, skip: true, problem: reason ? undefined : "no-check needs a reason: `no-check: why`" };
  }
  if (!/^(continue\b ?)?(run\b)?$/.test(marks))
    return { ...block, problem: `unknown words after the language: ${marks}` };
  if (words.includes("continue")) {
    const previous = before.findLast((other) => other.language === language && !other.skip);
    if (previous === undefined) return { ...block, problem: "there is no block before it to continue" };
    return { ...block, text: `${previous.text}${block.text}` };
  }
  if (language === "sh" && !block.run) return { ...block, problem: "say `sh run`, or `sh no-check: why`" };
  return block;
}
