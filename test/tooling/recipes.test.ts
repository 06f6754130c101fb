/** docs/recipes against the programs it is about: `npm run examples` runs those, and here the pages are compared with them. */
import { readdirSync, readFileSync } from 'node:fs'
import { join } from 'node:path'
import { expect } from 'chai'
import { withSnippets } from '../../scripts/snippets.ts'

const PAGES = 'docs/recipes'
const PROGRAMS = 'examples/recipes'

const read = (file: string): string => readFileSync(file, 'utf8')

/** The names of the files of a folder with an extension, without it. */
function namesIn(folder: string, extension: string): readonly string[] {
  const files = readdirSync(folder).filter((file) => file.endsWith(extension))
  return files.map((file) => file.slice(0, -extension.length)).sort()
}

const recipes = namesIn(PAGES, '.md').filter((name) => name !== 'README')

describe('the recipes', () => {
  it('are each a page and a program', () => {
    expect(recipes).to.deep.equal(namesIn(PROGRAMS, '.ts'))
    expect(recipes).to.have.length.at.least(7)
  })

  it('are all listed', () => {
    const listed = [...read(join(PAGES, 'README.md')).matchAll(/\]\((\S+)\.md\)/g)].map(([, name = '']) => name)
    expect(listed.filter((name) => recipes.includes(name)).sort()).to.deep.equal(recipes)
  })

  for (const name of recipes) {
    it(`show code that runs: ${name}`, () => {
      const page = read(join(PAGES, `${name}.md`))
      expect(page, 'npm run snippets').to.equal(withSnippets(page, read))
      // Commands for a shell are the only code that a page has of its own.
      const blocks = page.match(/^```\w+$/gm) ?? []
      const taken = page.match(/^<!-- \S+#\S+ -->\n```(?!sh$)/gm) ?? []
      expect(taken).to.have.lengthOf(blocks.filter((block) => block !== '```sh').length)
      expect(taken).to.not.have.lengthOf(0)
    })
  }
})

describe('code that is taken from a file', () => {
  const files: Readonly<Record<string, string>> = {
    'a.ts':
      'before()\n// #region one\n\nfirst()\n  second()\n// #endregion one\n// #region two\nthird()\n// #endregion two\n',
    'a.yaml': '# #region one\nkind: Job\n# #endregion one\n',
  }
  const write = (page: string): string => withSnippets(page, (file) => files[file] ?? '')

  it('replaces what stands in the block after the comment, and nothing else', () => {
    const page = (code: string): string =>
      `Text\n\n<!-- a.ts#one -->\n\`\`\`ts\n${code}\n\`\`\`\n\n\`\`\`sh\nnpm test\n\`\`\`\n`
    expect(write(page('old()'))).to.equal(page('first()\n  second()'))
    expect(write(page('first()\n  second()'))).to.equal(page('first()\n  second()'))
  })

  it('comes from any language', () => {
    expect(write('<!-- a.yaml#one -->\n```yaml\n```')).to.equal('<!-- a.yaml#one -->\n```yaml\nkind: Job\n```')
  })

  it('may have a dollar sign in it', () => {
    expect(withSnippets('<!-- b#c -->\n```ts\n```', () => '// #region c\n`$1 $&`\n// #endregion c')).to.include(
      '`$1 $&`',
    )
  })

  it('is an error if the file has no such part', () => {
    expect(() => write('<!-- a.ts#three -->\n```ts\n```')).to.throw('a.ts has no #region three')
  })
})
