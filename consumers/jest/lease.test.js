const openTelemetryApi = require('@opentelemetry/api')
const ioredis = require('ioredis')
const leasewheel = require('leasewheel')
const log = require('leasewheel/log')
const memory = require('leasewheel/memory')
const opentelemetry = require('leasewheel/opentelemetry')
const page = require('leasewheel/page')
const prometheus = require('leasewheel/prometheus')
const promClient = require('prom-client')
const { scenario } = require('../scenario.cjs')

test('a lease is acquired, renewed and released', () =>
  scenario(
    { ioredis, leasewheel, memory, prometheus, opentelemetry, log, page, promClient, openTelemetryApi },
    process.env.REDIS_URL,
  ))
