/** Tests of code that uses leases, under jest: no server, no waiting. testing.ts runs them. */
// #region set-up
const { LeaseManager } = require('leasewheel')
const { ManualClock, MemoryBackend, MemoryStore } = require('leasewheel/memory')
const { sendInvoices } = require('./send-invoices.cjs')

let clock
let store
let leases

beforeEach(() => {
  clock = new ManualClock()
  store = new MemoryStore({ clock })
  leases = new LeaseManager(new MemoryBackend({ store }), { clock, ttl: 10_000 })
})
afterEach(async () => {
  jest.useRealTimers()
  await leases.close()
})
// #endregion set-up

// #region tests
test('gives up when others send invoices all the time', async () => {
  store.set('lease:invoices', 'somebody else', 60_000) // keys here have the prefix
  const sending = sendInvoices(leases, async () => {})
  const refused = expect(sending).rejects.toMatchObject({ code: 'ERR_NOT_ACQUIRED' })
  await clock.advance(6_000) // it waits for 5 s
  await refused
})

test('stops when the lock is lost', async () => {
  const sent = []
  const sending = sendInvoices(leases, async (invoice) => {
    sent.push(invoice)
    if (invoice === 2) {
      store.set('lease:invoices', 'somebody else', 60_000)
      await clock.advance(5_000)
    }
  })
  await expect(sending).rejects.toMatchObject({ code: 'ERR_LEASE_LOST', reason: 'taken' })
  expect(sent).toEqual([1, 2])
})
// #endregion tests

// #region fake-timers
test('fake timers are for your code, the ManualClock is for leases', async () => {
  jest.useFakeTimers()
  const lease = await leases.acquire('report')
  let isLate = false
  setTimeout(() => (isLate = true), 60_000)
  await jest.advanceTimersByTimeAsync(60_000)
  await clock.advance(60_000)
  expect(isLate).toBe(true)
  expect(lease.held).toBe(true)
})
// #endregion fake-timers

// #region without-clock
test('without a clock of its own a manager stands still under fake timers', async () => {
  const { setTimeout: realTimeout } = globalThis
  jest.useFakeTimers()
  const careless = new LeaseManager(new MemoryBackend())
  let isGranted = false
  const acquiring = careless.acquire('report').then(() => (isGranted = true))
  await new Promise((resolve) => realTimeout(resolve, 200))
  expect(isGranted).toBe(false)
  await jest.advanceTimersByTimeAsync(1)
  await acquiring
  jest.useRealTimers()
  await careless.close()
})
// #endregion without-clock
