/**
 * Draws what a program left on a terminal as an SVG of text lines. It has a panel and colours of its own, for light and
 * for dark pages. Pure.
 */

/** The only control sequence of the demo: back to the first column, and erase the line. */
const ERASE = '\r\u001b[2K'

/** Sizes in px. A character of a monospaced font is about 0.6 of its size wide. */
const FONT_SIZE = 12
const CHARACTER = 7.3
const LINE = 17
const PADDING = 14

/** What a line is about decides its colour: the first rule that fits. The mark is what the colour is for; without one it is the line. */
const RULES: readonly { readonly name: string; readonly line: RegExp; readonly mark?: RegExp }[] = [
  { name: 'prompt', line: /^\$ / },
  { name: 'bad', line: /^ +FAILED |expectations FAILED/ },
  { name: 'good', line: /^ +ok /, mark: /ok/ },
  { name: 'good', line: /^All \d+ expectations held/ },
  { name: 'bad', line: /^ +event +lost/, mark: /lost: \w+/ },
  { name: 'warning', line: /^ +event +jeopardy/, mark: /jeopardy/ },
  { name: 'good', line: /^ +event +/, mark: /(?<=event +)\w+/ },
  { name: 'intruder', line: /^Another party/ },
  { name: 'faint', line: /^ +\d+ s {2}held/ },
]

const STYLE = `
.panel { fill: #f6f8fa; stroke: #d0d7de }
text { font: ${FONT_SIZE}px ui-monospace, SFMono-Regular, Menlo, Consolas, 'DejaVu Sans Mono', monospace; fill: #1f2328; white-space: pre }
.prompt { fill: #1f2328; font-weight: bold }
.good { fill: #116329 }
.warning { fill: #7d4e00 }
.bad { fill: #a40e26 }
.intruder { fill: #6639ba }
.faint { fill: #59636e }
@media (prefers-color-scheme: dark) {
  .panel { fill: #161b22; stroke: #3d444d }
  text, .prompt { fill: #e6edf3 }
  .good { fill: #56d364 }
  .warning { fill: #e3b341 }
  .bad { fill: #ff7b72 }
  .intruder { fill: #d2a8ff }
  .faint { fill: #9198a1 }
}
`

/** @param output what the program wrote to a terminal. @returns the lines that stay there. */
export function linesOnScreen(output: string): readonly string[] {
  const lines = output.split('\n').map((line) => line.split(ERASE).at(-1)?.trimEnd() ?? '')
  const strange = lines.find((line) => /\p{Cc}/u.test(line))
  if (strange !== undefined) throw new Error(`Cannot draw the control characters of ${JSON.stringify(strange)}`)
  return lines.at(-1) === '' ? lines.slice(0, -1) : lines
}

/** @param title for people who do not see the picture. */
export function drawTerminal(lines: readonly string[], title: string): string {
  const width = Math.ceil(Math.max(...lines.map((line) => line.length)) * CHARACTER + 2 * PADDING)
  const height = lines.length * LINE + 2 * PADDING
  return [
    `<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 ${width} ${height}" width="${width}" height="${height}" role="img">`,
    `<title>${escape(title)}</title>`,
    `<style>${STYLE}</style>`,
    `<rect class="panel" x="0.5" y="0.5" width="${width - 1}" height="${height - 1}" rx="8"/>`,
    ...lines.map((line, index) => drawLine(line, PADDING + index * LINE + FONT_SIZE)),
    '</svg>\n',
  ].join('\n')
}

/** The length is given, so that a font that runs wider does not run out of the panel. */
function drawLine(line: string, y: number): string {
  if (line === '') return ''
  const rule = RULES.find((one) => one.line.test(line))
  const attributes = `x="${PADDING}" y="${y}" textLength="${Math.round(line.length * CHARACTER)}" xml:space="preserve"`
  if (rule === undefined) return `<text ${attributes}>${escape(line)}</text>`
  const mark = rule.mark?.exec(line)
  if (!mark) return `<text class="${rule.name}" ${attributes}>${escape(line)}</text>`
  const before = line.slice(0, mark.index)
  const after = line.slice(mark.index + mark[0].length)
  const marked = `<tspan class="${rule.name}">${escape(mark[0])}</tspan>`
  return `<text ${attributes}>${escape(before)}${marked}${escape(after)}</text>`
}

function escape(text: string): string {
  return text.replaceAll('&', '&amp;').replaceAll('<', '&lt;').replaceAll('>', '&gt;')
}
