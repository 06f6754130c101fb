/** `npm test` runs the tests in two halves: `test:tools` from the source, and all others on the build, for their coverage. */
import { readdirSync, readFileSync } from 'node:fs'
import { expect } from 'chai'

interface Config {
  readonly spec: readonly string[]
  readonly ignore?: readonly string[]
}

function config(name: string): Config {
  return JSON.parse(readFileSync(name, 'utf8')) as Config
}

/** The folders of `test/` that a pattern names. */
function foldersIn(pattern: string): readonly string[] {
  const { 1: names = '' } = /^test\/\{?([\w,]+)\}?\//.exec(pattern) ?? []
  return names.split(',')
}

describe('the halves of the tests', () => {
  const tools = config('.mocharc.tools.json').spec.flatMap(foldersIn)

  it('are all tests: coverage is measured on what `test:tools` does not run', () => {
    const { spec, ignore = [] } = config('.mocharc.dist.json')
    expect(spec).to.deep.equal(['test/**/*.test.ts'])
    expect(ignore.flatMap(foldersIn)).to.have.members(tools)
  })

  it('name folders that have tests', () => {
    for (const folder of tools) {
      const files = readdirSync(`test/${folder}`, { recursive: true, encoding: 'utf8' })
      expect(
        files.some((file) => file.endsWith('.test.ts')),
        folder,
      ).to.equal(true)
    }
  })

  it('are both in `npm test`, which is in `.ci/run`', () => {
    const { scripts } = JSON.parse(readFileSync('package.json', 'utf8')) as { scripts: Record<string, string> }
    expect(scripts['test']).to.equal('npm run test:tools && npm run coverage')
    expect(scripts['test:tools']).to.include('mocha --config .mocharc.tools.json')
    expect(scripts['coverage']).to.include('mocha --config .mocharc.dist.json')
    expect(readFileSync('.ci/run', 'utf8')).to.match(/^npm test$/m)
  })
})
