// Serves one file with the module HTTPServer at /file, for Benchmarks/serve.py:
//   servefile FILE ADDRESS:PORT [CERTIFICATE KEY]
// It runs until a signal ends it.

import Glibc
import HTTPServer
import Platform

struct FileHandler: RequestHandler {
  let file: Descriptor
  let sizeBytes: UInt64

  func respond(to request: HTTPRequest) -> HTTPResponse {
    guard request.path.segments == [Array("file".utf8)] else {
      return .text(.notFound, "not found")
    }
    return HTTPResponse(
      .ok, contentType: "application/octet-stream",
      body: .file(file, offset: 0, sizeBytes: sizeBytes), entityTag: "1")
  }
}

let words = programArguments()
guard words.count == 3 || words.count == 5, let address = ListenAddress(words[2]) else {
  print("usage: servefile FILE ADDRESS:PORT [CERTIFICATE KEY]")
  exit(2)
}
let files = KernelFileSystem.shared
let file = try files.openFile(at: files.workingDirectory, Array(words[1].utf8), [.read])
var configuration = ServerConfiguration([address])
if words.count == 5 { configuration.tls = TLSFiles(certificate: words[3], key: words[4]) }
let server = try RunningServer(
  configuration, FileHandler(file: file, sizeBytes: try files.stat(file.raw).size))
let signals = Monitor(false)
let receive: @Sendable (Int32, Bool) -> Void = { _, _ in signals.update { $0 = true } }
Interruption.passingSignals(to: receive) {
  signals.wait { $0 ? () : nil }
  server.stop()
}
