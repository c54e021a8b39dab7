// The Node peer: the plain http module, one process, no framework on top.
'use strict';
const http = require('http');

const args = process.argv.slice(2);
if (args.length !== 2 || args[0] !== '--port') {
    console.error('usage: node_server.js --port N');
    process.exit(2);
}

const server = http.createServer((req, res) => {
    let status = 200, type = 'text/plain; charset=utf-8', body;
    if (req.url === '/plaintext') {
        body = 'Hello, World!';
    } else if (req.url === '/json') {
        type = 'application/json; charset=utf-8';
        body = JSON.stringify({ message: 'Hello, World!' });
    } else {
        status = 404;
        body = 'not found\n';
    }
    res.writeHead(status, {
        'Server': 'node',
        'Content-Type': type,
        'Content-Length': Buffer.byteLength(body),
    });
    res.end(body);
});
server.keepAliveTimeout = 3600 * 1000;      // the default of 5 s would end the idle connections
server.listen(Number(args[1]), '127.0.0.1', 4096);
