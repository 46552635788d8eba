"""Sends HTTP requests to one endpoint with one key. Never raises for what a server or the network does.

body              the body of one request, which records how much of it was sent
connect           connections: sockets, TLS, the proxy
proxies           the proxy that the environment names, and the variable that names it
connection_check  tests the connection to an endpoint step by step, for `batcher doctor`
faults            why no complete reply arrived: a table of all errors
http              `HttpSender`, over aiohttp
reading           reads replies completely, in bounded memory
target            an endpoint, its key and headers, its timeout
"""
