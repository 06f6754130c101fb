/** How the command line writes things: for people in short, and nothing that a terminal would obey. Pure. */

/** Letters that a terminal, or a line of a pipe, may not contain: control characters, and those that turn or hide text. */
const UNSAFE = /[\p{Cc}\p{Cf}\p{Co}\p{Cs}\u2028\u2029]/gu

/** A text on one line, without control characters: those become `\n`, `\xNN` or `\u{NNNN}`. */
export function safe(text: string): string {
  return text.replaceAll(UNSAFE, escape)
}

function escape(letter: string): string {
  const [short] = JSON.stringify(letter).match(/\\[bfnrt]/) ?? []
  if (short !== undefined) return short
  const code = letter.codePointAt(0) as number
  return code < 256 ? `\\x${code.toString(16).padStart(2, '0')}` : `\\u{${code.toString(16)}}`
}

const UNITS = [
  [86_400_000, 'd'],
  [3_600_000, 'h'],
  [60_000, 'm'],
  [1_000, 's'],
] as const

/** A duration in its two largest units. @param ms Infinity is shown as `∞`. */
export function duration(ms: number): string {
  if (ms === Number.POSITIVE_INFINITY) return '∞'
  const first = UNITS.findIndex(([unit]) => ms >= unit)
  if (first === -1) return `${Math.max(Math.round(ms), 0)}ms`
  const [unit, name] = UNITS[first] as (typeof UNITS)[number]
  const whole = Math.floor(ms / unit)
  const next = UNITS[first + 1]
  const rest = next ? Math.floor((ms - whole * unit) / next[0]) : 0
  return rest === 0 || next === undefined ? `${whole}${name}` : `${whole}${name}${rest}${next[1]}`
}

/** A number with its thousands apart. */
export function count(number: number): string {
  return Math.round(number)
    .toString()
    .replaceAll(/\B(?=(?:\d{3})+$)/g, ',')
}

/** Rows of cells as lines of columns. The last column is not padded. @param right the columns whose cells stand at the right. */
export function columns(rows: readonly (readonly string[])[], right: readonly number[] = []): string[] {
  const widths = (rows[0] ?? []).map((_, column) => Math.max(...rows.map((row) => (row[column] ?? '').length)))
  return rows.map((row) =>
    row
      .map((cell, column) => {
        const width = widths[column] ?? 0
        if (right.includes(column)) return cell.padStart(width)
        return column === row.length - 1 ? cell : cell.padEnd(width)
      })
      .join('  '),
  )
}

/** At most this many characters of a line. */
export function cut(line: string, width: number): string {
  const letters = Array.from(line)
  return letters.length <= width ? line : `${letters.slice(0, Math.max(width - 1, 0)).join('')}…`
}
