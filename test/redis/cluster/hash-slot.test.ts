import { expect } from 'chai'
import { SLOTS, SlotFinder, slotOfBytes, tagOf } from '#src/redis/cluster/hash-slot.js'
import { withRedis } from '../../support/redis-server.ts'

const KEYS = [
  '',
  'a',
  'key:1',
  '{tag}',
  '{tag}:a',
  'a{tag}b',
  '{}a',
  '{}{tag}',
  'a{b',
  'a}b',
  'ключ',
  'a{ключ}b',
  '{a}{b}',
  '{{a}}',
  '💡{x}',
]
const PREFIXES = ['', 'lease:', '{app}:', '{', '{}', 'app}', 'ü:', '{ü', 'a{b']

describe('the hash slot of a key', () => {
  it('is that of the server, for every split between prefix and key', () =>
    withRedis(
      async (server) => {
        for (const prefix of PREFIXES) {
          const slots = new SlotFinder(prefix)
          for (const key of KEYS) {
            expect(slots.of(key), `${prefix} + ${key}`).to.equal(
              await server.command('CLUSTER', 'KEYSLOT', prefix + key),
            )
          }
        }
      },
      { args: ['--cluster-enabled', 'yes'] },
    ))

  it('is that of the server for keys that are no text', () =>
    withRedis(
      async (server) => {
        const odd = [[0xff], [0x7b, 0xff, 0x7d, 0x80], [0x80, 0x7b, 0x7d], [0x7d, 0x7b, 0xc3], []].map((key) =>
          Buffer.from(key),
        )
        for (const key of [...odd, ...KEYS.map((text) => Buffer.from(text))]) {
          expect(slotOfBytes(key), key.toString('latin1')).to.equal(
            await server.command('CLUSTER', 'KEYSLOT', key as never),
          )
        }
      },
      { args: ['--cluster-enabled', 'yes'] },
    ))

  it('has a tag of at most four characters, always the same', () => {
    const slots = new SlotFinder('')
    for (let slot = 0; slot < SLOTS; slot += 1) {
      const tag = tagOf(slot)
      if (slots.of(`leasewheel:fence:{${tag}}`) !== slot || tag.length > 4) expect.fail(`${tag} is no tag of ${slot}`)
    }
    // Managers of all versions share the counters that are named so.
    expect([0, 1, 8_191, SLOTS - 1].map(tagOf)).to.deep.equal(TAGS)
  })
})

/** Of the slots 0, 1, 8191 and 16383. */
const TAGS = ['1bz', 'emj', '7ho', 'hia']
