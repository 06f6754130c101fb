import { expect } from 'chai'
import * as handOvers from '#src/redis/hand-over-scripts.js'
import * as scripts from '#src/redis/scripts.js'

/** Commands that have no key. */
const KEYLESS = ['TIME']

describe('the scripts', () => {
  for (const [name, lua] of Object.entries({ ...scripts, ...handOvers })) {
    it(`name their keys literally, as KEYS[i]: ${name}`, () => {
      const uses = lua.replaceAll(/#KEYS\b|\bKEYS\[|\bunpack\(KEYS\b/g, '')
      expect(uses, 'KEYS in another way').not.to.match(/\bKEYS\b/)
      const calls = [...lua.matchAll(/\bredis\.p?call\('(\w+)'(?:, )?([^)]*)/g)]
      expect(calls).not.to.have.length(0)
      for (const [call, command = '', rest = ''] of calls) {
        if (!KEYLESS.includes(command)) expect(rest, call).to.match(/^(KEYS\[\w+\]|unpack\(KEYS)/)
      }
      expect(lua.match(/\b(p?call)\b/g), 'through a name of its own').to.have.length(calls.length)
    })
  }
})
