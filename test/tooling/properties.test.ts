/**
 * docs/properties.md against the tests: each property is named by one, none names another, and the table of failures is that of
 * the regressions.
 */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { BUGS_ELSEWHERE, BUGS_HERE } from '../regressions/bugs.ts'

const PAGE = 'docs/properties.md'

/** A title that names more of them says that all is looked at, and is no test of any. */
const MOST_IN_ONE_TITLE = 10

/** The properties that the page lists, in its order. */
function listed(): readonly string[] {
  return [...readFileSync(PAGE, 'utf8').matchAll(/^- \*\*(P\d+)\*\*/gm)].map(([, name = '']) => name)
}

/** The properties with which the titles of tests begin, each with where that is. */
function named(): ReadonlyMap<string, readonly string[]> {
  const places = new Map<string, string[]>()
  for (const file of testFiles()) {
    for (const title of titlesIn(readFileSync(file, 'utf8'))) {
      const { 0: numbers = '' } = /^(P\d+ )+/.exec(title) ?? []
      const names = numbers.split(' ').filter(Boolean)
      if (names.length > MOST_IN_ONE_TITLE) continue
      for (const name of names) places.set(name, [...(places.get(name) ?? []), `${file}: ${title}`])
    }
  }
  return places
}

function testFiles(): readonly string[] {
  const names = readdirSync('test', { recursive: true, encoding: 'utf8' })
  return names.filter((name) => /\.(test|contract)\.ts$/.test(name)).map((name) => join('test', name))
}

/** The titles of tests and of groups of tests, as they stand in the source. */
function titlesIn(source: string): readonly string[] {
  return [...source.matchAll(/\b(?:it|describe)\(\s*(['"`])(.*?)\1/g)].map(([, , title = '']) => title)
}

/** The cells of the table of failures. */
function rows(): readonly (readonly string[])[] {
  const [, table = ''] = readFileSync(PAGE, 'utf8').split('|---|---|---|\n')
  return table
    .trim()
    .split('\n')
    .map((line) => line.slice(2, -2).split(' | '))
}

describe('the properties', () => {
  it('are numbered from P1 to P38, each once', () => {
    const numbers = listed().map((name) => Number(name.slice(1)))
    expect(numbers.sort((a, b) => a - b)).to.deep.equal(Array.from({ length: 38 }, (_, index) => index + 1))
  })

  it('are each named by the title of a test', () => {
    const places = named()
    expect(listed().filter((name) => !places.has(name))).to.deep.equal([])
  })

  it('are the only numbers that titles name', () => {
    const known = new Set(listed())
    const unknown = [...named()].filter(([name]) => !known.has(name)).flatMap(([, places]) => places)
    expect(unknown).to.deep.equal([])
  })
})

describe('the failures of other libraries', () => {
  it('are those that the regressions put back, in that order', () => {
    expect(rows().map(([failure]) => failure)).to.deep.equal(BUGS_ELSEWHERE.map(({ failure }) => failure))
  })

  it('are found by what the page names', () => {
    const finders = BUGS_ELSEWHERE.map(({ harness }) =>
      harness.type === 'simulation' ? 'the simulator' : harness.files.map((file) => `\`${file}\``).join(', '),
    )
    expect(rows().map(([, , finder]) => finder)).to.deep.equal(finders)
  })

  it('are each put back once', () => {
    const failures = [...BUGS_ELSEWHERE, ...BUGS_HERE].map(({ failure }) => failure)
    expect(failures.filter((failure, index) => failures.indexOf(failure) !== index)).to.deep.equal([])
  })
})
