// #region code
/**
 * The code to test. It is given its manager, so a test can give it another one.
 *
 * @param {import('leasewheel').LeaseManager} leases
 * @param {(invoice: number) => Promise<void>} send
 */
async function sendInvoices(leases, send) {
  const work = async ({ signal }) => {
    for (const invoice of [1, 2, 3]) {
      signal.throwIfAborted()
      await send(invoice)
    }
  }
  await leases.using('invoices', work, { wait: 5_000 })
}

module.exports = { sendInvoices }
// #endregion code
