// node's coap as a server with the resources of coap_site.py, for test_coap_node.py and test_coap_etsi.py.
//
// Started with NODE_PATH at its packages. Prints its port; then, for every line on stdin, one JSON line with what it was
// asked to do since the last one and with the number of observers. node's server leaves the following to its
// application: block-wise notifications, replacing an observation with the same token, and ending one on Observe 1.
'use strict'

const coap = require('coap')
const crypto = require('crypto')
const readline = require('readline')

const SLOW_MS = 300
const FORMATS = { undefined: [0, 'text'], 0: [0, 'text'], 50: [50, '{"a":1}'], 60: [60, Buffer.from([0xa1, 0x61, 0x61, 1])] }
const journal = []
const watchers = new Map() // path -> Map of observer -> stream
const values = { '/obs': '0', '/obs-large': '0', '/obs-short': '0' }
const formats = {}
let version = 1
let made = false
let stored = Buffer.alloc(0)

function fill (n) {
  const out = Buffer.alloc(n)
  for (let i = 0; i < n; i++) out[i] = (i * 31 + (i >> 8)) & 255
  return out
}

const LARGE = fill(5000)

// Values of an option that node leaves as bytes or as a text of them, in order.
function raw (req, name) {
  return req._packet.options.filter(o => o.name === name).map(o => Buffer.from(o.value))
}

// Content-Format or Accept: node has turned the numbers that it knows into names. undefined: absent.
function format (req, name) {
  const names = { 'text/plain': 0, 'application/xml': 41, 'application/json': 50, 'application/cbor': 60 }
  const value = req.headers[name]
  return value in names ? names[value] : value
}

function answer (res, code, payload) {
  res.code = code
  res.end(payload)
}

function reversed (payload) {
  return Buffer.from(payload).reverse()
}

function created (req, res) {
  res.setOption('Location-Path', [Buffer.from('location1'), Buffer.from('location2')])
  answer(res, '2.01')
}

function slowly (payload) {
  return (req, res) => setTimeout(() => answer(res, '2.05', payload || (req.payload.length ? req.payload : 'separate')), SLOW_MS)
}

// Observation

function observerOf (req) {
  return `${req.rsinfo.address}:${req.rsinfo.port}/${req._packet.token.toString('hex')}`
}

function noteBody (path) {
  return path === '/obs-large' ? (values[path] + ' ').repeat(Math.floor(3000 / (values[path].length + 1))) : values[path]
}

function notify (path, stream, code) {
  if (code) {
    stream.statusCode = code
    stream._packet.options = [] // and no Observe: it is the last
    stream._doSend(Buffer.alloc(0))
    watchers.get(path).delete(stream.observer)
    return
  }
  const body = Buffer.from(noteBody(path))
  stream.statusCode = '2.05'
  stream._packet.options = []
  if (path === '/obs-short') stream.setOption('Max-Age', 1)
  if (formats[path] !== undefined) stream.setOption('Content-Format', formats[path])
  if (body.length > 1024) {
    stream.setOption('Block2', Buffer.from([0x0e])) // number 0, more, 1024 bytes
    stream.setOption('ETag', etagOf(body))
  }
  stream.write(body.subarray(0, 1024))
}

// As node's coap makes it for the blocks that follow.
function etagOf (body) {
  const id = [0, 0]
  body.forEach((byte, i) => { id[i & 1] ^= byte })
  return Buffer.from(id)
}

function watch (path, req, stream) {
  const observers = watchers.get(path) || new Map()
  watchers.set(path, observers)
  stream.observer = observerOf(req)
  stream.on('finish', () => { if (observers.get(stream.observer) === stream) observers.delete(stream.observer) })
  observers.set(stream.observer, stream)
  notify(path, stream)
}

function watched (path) {
  return {
    GET (req, res) {
      if (values[path] === undefined) return answer(res, '4.04')
      if (req.headers.Observe === 0) return watch(path, req, res)
      if (req.headers.Observe === 1 && watchers.has(path)) watchers.get(path).delete(observerOf(req))
      if (formats[path] !== undefined) res.setOption('Content-Format', formats[path])
      answer(res, '2.05', Buffer.from(noteBody(path)))
    },
    PUT (req, res) {
      const given = format(req, 'Content-Format')
      const other = given !== undefined && formats[path] !== given
      values[path] = req.payload.toString()
      answer(res, '2.04')
      if (other) formats[path] = given
      for (const stream of [...(watchers.get(path) || new Map()).values()]) notify(path, stream, other ? '4.06' : null)
    },
    DELETE (req, res) {
      delete values[path]
      answer(res, '2.02')
      for (const stream of [...(watchers.get(path) || new Map()).values()]) notify(path, stream, '4.04')
    }
  }
}

function store (req, res) {
  stored = Buffer.from(req.payload)
  answer(res, '2.04')
}

const resources = {
  '/test': {
    GET (req, res) { res.setOption('Content-Format', 0); answer(res, '2.05', 'CoAP') },
    PUT (req, res) { answer(res, '2.04') },
    POST: created,
    DELETE (req, res) { answer(res, '2.02') },
    PATCH (req, res) { answer(res, '2.04') },
    iPATCH (req, res) { answer(res, '2.04') },
    FETCH (req, res) { res.setOption('Content-Format', 0); answer(res, '2.05', reversed(req.payload)) }
  },
  '/separate': { GET: slowly(), PUT: slowly(), POST: slowly() },
  '/silent': { GET () {} }, // node sends the empty ACK by itself
  '/seg1/seg2/seg3': { GET (req, res) { answer(res, '2.05', 'seg') } },
  '/query': { GET (req, res) { answer(res, '2.05', req.url.split('?')[1]) } },
  '/location-query': {
    POST (req, res) {
      res.setOption('Location-Query', [Buffer.from('first=1'), Buffer.from('second=2')])
      answer(res, '2.01')
    }
  },
  '/multi-format': {
    GET (req, res) {
      const accept = format(req, 'Accept')
      if (!(accept in FORMATS)) return answer(res, '4.06')
      res.setOption('Content-Format', FORMATS[accept][0])
      answer(res, '2.05', FORMATS[accept][1])
    }
  },
  '/validate': {
    GET (req, res) {
      res.setOption('ETag', Buffer.from([version]))
      if (raw(req, 'ETag').some(tag => tag.equals(Buffer.from([version])))) return answer(res, '2.03')
      answer(res, '2.05', 'v' + Buffer.from([version]).toString('hex'))
    },
    PUT (req, res) {
      const wanted = raw(req, 'If-Match')
      if (wanted.length && !wanted.some(tag => tag.equals(Buffer.from([version])))) return answer(res, '4.12')
      version += 1
      res.setOption('ETag', Buffer.from([version]))
      answer(res, '2.04')
    }
  },
  '/create1': {
    PUT (req, res) {
      if (made && raw(req, 'If-None-Match').length) return answer(res, '4.12')
      made = true
      answer(res, '2.01')
    },
    DELETE (req, res) { made = false; answer(res, '2.02') }
  },
  '/large': { GET (req, res) { res.setOption('Content-Format', 42); answer(res, '2.05', LARGE) } },
  '/large-separate': { GET: slowly(LARGE) },
  '/large-update': { PUT: store, GET (req, res) { answer(res, '2.05', stored) } },
  '/large-create': { POST: created },
  '/large-post': { POST (req, res) { answer(res, '2.05', reversed(req.payload)) } }, // the blocks after the first say 2.05
  '/busy': { GET (req, res) { res.setOption('Max-Age', 7); answer(res, '5.03') } },
  '/many': { GET (req, res) { res.setOption('Max-Age', 3); answer(res, '4.29') } }
}
for (const path of Object.keys(values)) resources[path] = watched(path)

coap.parameters.refreshTiming({ ackTimeout: 0.2 })
const server = coap.createServer({ type: 'udp4' })
server.on('error', error => process.stderr.write(`${error.stack}\n`))
server.on('request', (req, res) => {
  const path = req.url.split('?')[0]
  const entry = resources[path]
  if (entry === undefined) return answer(res, '4.04')
  if (entry[req.method] === undefined) return answer(res, '4.05')
  const sha256 = crypto.createHash('sha256').update(req.payload).digest('hex')
  journal.push([req.method, path.slice(1), req.payload.length, sha256])
  entry[req.method](req, res)
})
server.listen(0, '127.0.0.1', () => process.stdout.write(`${server._sock.address().port}\n`))
readline.createInterface({ input: process.stdin }).on('line', () => {
  const counts = {}
  for (const [path, observers] of watchers) counts[path.slice(1)] = observers.size
  process.stdout.write(JSON.stringify({ journal: journal.splice(0), watchers: counts }) + '\n')
}).on('close', () => process.exit(0))
