import { expect } from 'chai'
import { SlotTable } from '#src/redis/cluster/slot-table.js'
import { readSlots, type SlotRange } from '#src/redis/cluster/slots-reply.js'
import { readRedirection } from '#src/redis/cluster/redirection.js'

/** Nodes are named by their ports, and have routes like these. */
function range(first: number, last: number, port: number, ...replicas: number[]): SlotRange {
  const node = (at: number) => ({ host: 'h', port: at, id: `id-${at}` })
  return { first, last, master: node(port), replicas: replicas.map(node) }
}

const routeOf = ({ master }: SlotRange): number => master.port

describe('the table of slots', () => {
  it('knows the route of each slot, and what a new map changed', () => {
    const table = new SlotTable()
    expect(table.routeOf(0)).to.equal(-1)
    table.apply([range(0, 9, 1), range(10, 19, 2)], routeOf)
    expect([0, 9, 10, 19, 20].map((slot) => table.routeOf(slot))).to.deep.equal([1, 1, 2, 2, -1])
    const { moved, filled, promoted } = table.apply([range(0, 8, 1), range(9, 20, 2)], routeOf)
    expect([...moved]).to.deep.equal([[2, [9, 20]]])
    expect([...filled], 'served again').to.deep.equal([2])
    expect([...promoted]).to.deep.equal([])
  })

  it('tells a replica that took over from a node that was given slots', () => {
    const table = new SlotTable()
    table.apply([range(0, 9, 1, 3), range(10, 19, 2, 4)], routeOf)
    // MOVED came before the map.
    table.move(0, 3)
    const { promoted } = table.apply([range(0, 9, 3, 1), range(10, 18, 2, 4), range(19, 19, 3)], routeOf)
    expect([...promoted]).to.deep.equal([3])
    expect(table.serves(1)).to.equal(false)
    expect([...table.apply([range(0, 9, 3, 1), range(10, 19, 2, 4)], routeOf).promoted]).to.deep.equal([])
  })

  it('tells a node that comes in place of one that goes, though no map named it as a replica', () => {
    const table = new SlotTable()
    table.apply([range(0, 9, 1), range(10, 19, 2)], routeOf)
    expect(
      [...table.apply([range(0, 5, 1), range(6, 9, 3), range(10, 19, 2)], routeOf).promoted],
      'a new one',
    ).to.deep.equal([])
    expect([...table.apply([range(0, 9, 3), range(10, 19, 2)], routeOf).promoted], 'emptied').to.deep.equal([])
    expect([...table.apply([range(0, 9, 3), range(10, 19, 4)], routeOf).promoted]).to.deep.equal([4])
  })

  it('believes MOVED until the next map', () => {
    const table = new SlotTable()
    table.apply([range(0, 9, 1), range(10, 19, 2)], routeOf)
    expect([table.move(5, 2), table.move(5, 2)]).to.deep.equal([true, false])
    expect([table.routeOf(5), table.mappedTo(5)]).to.deep.equal([2, 1])
    expect(table.slotsOf(2)).to.include(5)
    table.apply([range(0, 9, 1), range(10, 19, 2)], routeOf)
    expect(table.routeOf(5)).to.equal(1)
  })
})

describe('the answer to CLUSTER SLOTS', () => {
  it('is read with metadata and replicas; an endpoint without a name is the host that was asked', () => {
    const reply = [
      [0, 5, ['10.0.0.1', 7000, 'a', ['hostname', 'x']], [null, 7001, 'b', []]],
      [6, 6, ['', 7002, 'c'], ['?', 7003, 'd']],
    ]
    expect(readSlots(reply, 'asked')).to.deep.equal([
      {
        first: 0,
        last: 5,
        master: { host: '10.0.0.1', port: 7000, id: 'a' },
        replicas: [{ host: 'asked', port: 7001, id: 'b' }],
      },
      {
        first: 6,
        last: 6,
        master: { host: 'asked', port: 7002, id: 'c' },
        replicas: [{ host: 'asked', port: 7003, id: 'd' }],
      },
    ])
  })

  for (const reply of [
    'OK',
    [],
    [[0, 16_384, ['h', 1, 'a']]],
    [[5, 4, ['h', 1, 'a']]],
    [[0, 1]],
    [[0, 1, ['h', 0, 'a']]],
  ]) {
    it(`is refused if it is none: ${JSON.stringify(reply)}`, () => {
      expect(() => readSlots(reply, 'asked')).to.throw(/CLUSTER SLOTS was answered with|knows of no slots/)
    })
  }
})

describe('a redirection is read', () => {
  for (const [message, expected] of [
    ['MOVED 3999 127.0.0.1:6381', { type: 'MOVED', slot: 3999, host: '127.0.0.1', port: 6381 }],
    ['MOVED 3999 :6381', { type: 'MOVED', slot: 3999, host: 'asked', port: 6381 }],
    ['MOVED 3999 ?:6381', { type: 'MOVED', slot: 3999, host: 'asked', port: 6381 }],
    ['ASK 0 node.example:6381', { type: 'ASK', slot: 0, host: 'node.example', port: 6381 }],
    ['ASK 0 ::1:6381', { type: 'ASK', slot: 0, host: '::1', port: 6381 }],
    ['ERR MOVED 1 a:1', undefined],
  ] as const) {
    it(message, () => expect(readRedirection(message, 'asked')).to.deep.equal(expected))
  }
})
