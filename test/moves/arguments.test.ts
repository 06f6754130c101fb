import { expect } from 'chai'
import { readArguments, UsageError } from './arguments.ts'

const random = (): number => 0.5

describe('the arguments of `npm run moves`', () => {
  it('have defaults, and a seed of its own each time', () => {
    expect(readArguments([], random)).to.deep.equal({
      ways: ['old', 'atomic', 'half'],
      processes: 4,
      keys: 2_000,
      leases: 20_000,
      ttl: 3_000,
      seed: 500_000,
      server: undefined,
    })
  })

  it('are what is said', () => {
    const said = readArguments(['--ways', 'half,old', '--leases', '7', '--server', '/a', '--seed', '3'], random)
    expect(said).to.deep.include({ ways: ['old', 'half'], leases: 7, server: '/a', seed: 3 })
    expect(readArguments(['--help'], random)).to.equal('help')
  })

  it('are refused by name if they make no sense', () => {
    for (const args of [
      ['--ways', 'new'],
      ['--leases', '0'],
      ['--leases', ''],
      ['--ttl', '1e9'],
      ['--other'],
      ['word'],
    ]) {
      expect(() => readArguments(args, random), args.join(' ')).to.throw(UsageError)
    }
  })
})
