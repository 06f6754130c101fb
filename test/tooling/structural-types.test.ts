/** The published declarations are structural: any object of the right shape fits. */
import { execFileSync } from 'node:child_process'
import { mkdtempSync, readFileSync, rmSync, writeFileSync } from 'node:fs'
import { tmpdir } from 'node:os'
import { join } from 'node:path'
import { expect } from 'chai'

describe('published declarations', () => {
  it('have no marks of private fields, and as many lines as before', () => {
    const folder = mkdtempSync(join(tmpdir(), 'leasewheel-types-'))
    try {
      const file = join(folder, 'a.d.ts')
      writeFileSync(file, 'export declare class A {\n    #private;\n    get key(): string;\n}\n')
      execFileSync(process.execPath, ['scripts/structural-types.mjs', folder])
      expect(readFileSync(file, 'utf8')).to.equal('export declare class A {\n\n    get key(): string;\n}\n')
      expect(readFileSync('package.json', 'utf8')).to.match(/"build": ".* && node scripts\/structural-types\.mjs dist"/)
    } finally {
      rmSync(folder, { recursive: true })
    }
  })
})
