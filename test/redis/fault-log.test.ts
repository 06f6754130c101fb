/** The log of faults: why there is no connection, reported once. */
import { FaultLog, noConnection, tellingError } from '#src/redis/fault-log.js'
import { expect } from 'chai'

describe('the reported cause of a missing connection', () => {
  it('says what each of them said, if a name has several addresses', () => {
    const errors = [new Error('connect ECONNREFUSED ::1:6379'), new Error('connect ECONNREFUSED 127.0.0.1:6379')]
    const telling = tellingError(new AggregateError(errors))
    expect(telling.message).to.equal(
      'No connection to Redis: connect ECONNREFUSED ::1:6379; connect ECONNREFUSED 127.0.0.1:6379',
    )
    expect(telling.cause).to.be.instanceOf(AggregateError)
    expect(noConnection(telling).message).to.equal(telling.message)
  })

  it('is the code of an error without a message, and never empty', () => {
    expect(tellingError(Object.assign(new Error(''), { code: 'ECONNRESET' })).message).to.match(/: ECONNRESET$/)
    expect(tellingError(new Error('')).message).to.match(/: unknown reason$/)
    const telling = new Error('read ECONNRESET')
    expect(tellingError(telling)).to.equal(telling)
    expect(noConnection(undefined).message).to.equal('No connection to Redis')
  })

  it('is reported once despite changing numbers, and again after the server has answered', () => {
    const log = new FaultLog()
    expect(log.add(new Error('Retrying after 10 ms'))).to.equal(true)
    expect(log.add(new Error('Retrying after 20 ms'))).to.equal(false)
    expect(log.add(new Error('something else'))).to.equal(true)
    expect(log.last?.message).to.equal('something else')
    log.forget()
    expect(log.add(new Error('Retrying after 30 ms'))).to.equal(true)
  })

  it('P25 is remembered for a bounded number of reasons', () => {
    const log = new FaultLog()
    const words = Array.from({ length: 100 }, (_, index) => 'x'.repeat(index + 1))
    for (const word of words) expect(log.add(new Error(word))).to.equal(true)
    expect(log.add(new Error('x'))).to.equal(true)
  })
})
