/**
 * `report`: everything, as a page with pictures. Promises that docs/benchmarks.md and docs/charts are wholly its work,
 * and that what is on the page is what the results say.
 */
import { mkdirSync, statSync, writeFileSync } from 'node:fs'
import { join, resolve } from 'node:path'
import { fileURLToPath } from 'node:url'
import { chartsOf } from './charts/scale-charts.ts'
import { type Command, UsageError } from './command.ts'
import type { Row } from './comparison-report.ts'
import type { HoldFigures } from './hold-figures.ts'
import { describeOptions, integerOption, namesOption, parseOptions, textOption } from './options.ts'
import { formatPage, type Picture, type Section } from './page.ts'
import { progress } from './progress.ts'
import { STEP_NAMES, type StepName, steps } from './report-steps.ts'
import { readResult } from './result.ts'

const docs = fileURLToPath(new URL('../docs/', import.meta.url))
const results = fileURLToPath(new URL('results/', import.meta.url))

const options = {
  steps: namesOption({ placeholder: 'a,b', summary: 'what is measured' }, STEP_NAMES),
  rounds: integerOption({ placeholder: 'R', summary: 'turns of each library', initial: 3, minimum: 1 }),
  'json-dir': textOption({ placeholder: 'DIR', summary: 'folder for the raw data (default: bench/results)' }),
  from: textOption({ placeholder: 'DIR', summary: 'measure nothing: write the page from the raw data in this folder' }),
  to: textOption({ placeholder: 'DIR', summary: 'folder of the page (default: docs)' }),
}

const help = `Measures everything and writes docs/benchmarks.md, with the pictures in docs/charts.

npm run bench -- report [options]

${describeOptions(options)}

What was measured before and lies in the folder is on the page as well, so that the steps may be measured one by one:

${STEP_NAMES.map((name) => `  ${name.padEnd(9)} ${steps[name].title}`).join('\n')}`

async function run(args: readonly string[]): Promise<void> {
  const { steps: names, rounds, from, to = docs, 'json-dir': jsonDirectory = results } = parseOptions(options, args)
  const directory = resolve(from ?? jsonDirectory)
  if (from === undefined) await measure(names, rounds, directory)
  const sections = STEP_NAMES.filter((name) => isMeasured(fileOf(directory, name))).map((name) =>
    readSection(directory, name),
  )
  if (sections.length === 0) throw new UsageError(`Expected raw data of ${STEP_NAMES.join(', ')} in ${directory}`)
  const pictures = await drawPictures(directory, to)
  const page = join(to, 'benchmarks.md')
  writeFileSync(page, formatPage(sections, pictures))
  console.log(`${page}: ${sections.length} tables, ${pictures.length} pictures`)
}

async function measure(names: readonly StepName[], rounds: number, directory: string): Promise<void> {
  mkdirSync(directory, { recursive: true })
  for (const name of names) {
    const { command, args, title } = steps[name]
    progress(title)
    await command.run([...args, '--rounds', String(rounds), '--json', fileOf(directory, name)])
  }
}

function readSection(directory: string, name: StepName): Section {
  const { title, text, format } = steps[name]
  const result = readResult(fileOf(directory, name))
  return { title, text, result, paragraphs: format(result) }
}

async function drawPictures(directory: string, to: string): Promise<readonly Picture[]> {
  const file = fileOf(directory, 'scale')
  if (!isMeasured(file)) return []
  // Only here: the other commands do without the library that draws.
  const { drawLineChart } = await import('./charts/line-chart.ts')
  const { rows, settings } = readResult<Row<HoldFigures>>(file)
  const folder = join(to, 'charts')
  mkdirSync(folder, { recursive: true })
  return chartsOf(rows, Number(settings['ttl'])).map(({ name, description, chart }) => {
    writeFileSync(join(folder, `${name}.svg`), drawLineChart(chart))
    return { path: `charts/${name}.svg`, description }
  })
}

/** A command that failed, or that is under way, leaves an empty file. */
function isMeasured(file: string): boolean {
  return (statSync(file, { throwIfNoEntry: false })?.size ?? 0) > 0
}

function fileOf(directory: string, name: StepName): string {
  return join(directory, `${name}.json`)
}

export const report: Command = { summary: 'everything, as docs/benchmarks.md with pictures', help, run }
