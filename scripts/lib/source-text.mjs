/**
 * Reads TypeScript source just well enough for the layer rule: the imports of a file, and its code without comments and
 * without the content of strings, so that a word in a comment or a message is never taken for a call. The text keeps
 * its length and its line breaks; template literals are code only within `${...}`.
 */

export function readSource(text) {
  const { code, strings } = blankStringsAndComments(text);
  return { code, imports: findImports(code, strings) };
}

export function lineOf(text, index) {
  return text.slice(0, index).split("\n").length;
}

/** Every `import ... from "x"`, `export ... from "x"`, `import "x"`, `import("x")` and `require("x")`. */
function findImports(code, strings) {
  const imports = [];
  for (const { start, value } of strings) {
    const before = code.slice(Math.max(0, start - 200), start).trimEnd();
    if (/(\bfrom|\bimport|\bimport\s*\(|\brequire\w*\s*\(|\brequire\w*\.resolve\s*\()$/.test(before)) {
      imports.push({ specifier: value, line: lineOf(code, start) });
    }
  }
  return imports;
}

function blankStringsAndComments(text) {
  let code = "";
  const strings = [];
  const braces = [];
  let index = 0;

  const blank = (end) => {
    code += text.slice(index, end).replace(/[^\n]/g, " ");
    index = end;
  };
  const templateText = () => {
    let end = index;
    while (end < text.length && text[end] !== "`" && !text.startsWith("${", end)) end += text[end] === "\\" ? 2 : 1;
    blank(Math.min(end, text.length));
    if (text[index] === "`") {
      code += text[index++];
    } else if (index < text.length) {
      braces.push("template");
      code += text.slice(index, index + 2);
      index += 2;
    }
  };

  while (index < text.length) {
    const character = text[index];
    if (text.startsWith("//", index)) {
      blank(endOr(text, text.indexOf("\n", index)));
    } else if (text.startsWith("/*", index)) {
      const end = text.indexOf("*/", index + 2);
      blank(end < 0 ? text.length : end + 2);
    } else if (character === '"' || character === "'") {
      const start = index;
      const end = endOfQuoted(text, index, character);
      strings.push({ start, value: text.slice(start + 1, end) });
      code += character;
      index += 1;
      blank(end);
      if (index < text.length) code += text[index++];
    } else if (character === "`") {
      const start = index;
      code += text[index++];
      templateText();
      // import(`x`) is an import like any other.
      if (code[index - 1] === "`") strings.push({ start, value: text.slice(start + 1, index - 1) });
    } else if (character === "/" && startsRegularExpression(code)) {
      blank(endOfRegularExpression(text, index));
    } else if (character === "}" && braces.pop() === "template") {
      code += text[index++];
      templateText();
    } else {
      if (character === "{") braces.push("block");
      code += text[index++];
    }
  }
  return { code, strings };
}

function endOfQuoted(text, start, quote) {
  let end = start + 1;
  while (end < text.length && text[end] !== quote && text[end] !== "\n") end += text[end] === "\\" ? 2 : 1;
  return Math.min(end, text.length);
}

/** A slash begins a regular expression where a value may begin; otherwise it divides. */
function startsRegularExpression(codeBefore) {
  const before = codeBefore.trimEnd();
  return (
    before === "" || /[(,=:[!&|?{};+\-*%<>~^]$|\b(return|typeof|case|of|in|do|else|yield|await|void)$/.test(before)
  );
}

function endOfRegularExpression(text, start) {
  let inClass = false;
  let end = start + 1;
  for (; end < text.length && text[end] !== "\n"; end++) {
    if (text[end] === "\\") end += 1;
    else if (text[end] === "[") inClass = true;
    else if (text[end] === "]") inClass = false;
    else if (text[end] === "/" && !inClass) break;
  }
  return Math.min(end + 1, text.length);
}

function endOr(text, position) {
  return position < 0 ? text.length : position;
}
