// A store with images to serve, and requests for their boot files without a network.

import Codec
import Foundation
import HTTPServer
import Images
import Platform
import Server
import TestSupport

/// A node whose boot files are served.
final class BootSite: Sendable {
  let node: TestNode
  let files: RenderedFiles
  let routes: BootRoutes
  let warnings = Monitor<[String]>([])

  /// Creates a node with the image "compute" of one netboot tree.
  init(
    tree: [String: String] = ["etc/motd": "hello\n"],
    limits: RenderedFiles.Limits = RenderedFiles.Limits(), usesTLS: Bool = false
  ) throws {
    node = try TestNode(image: "compute", tree: tree)
    try node.write("kernel 1\n", to: "img/kernel")
    try node.write("ramdisk\n", to: "img/initrd-stateless.gz")
    let warnings = self.warnings
    let warn: @Sendable (String) -> Void = { line in warnings.withLock { $0.append(line) } }
    files = try RenderedFiles(directory: node.directory.path("cache"), limits: limits, warn: warn)
    routes = BootRoutes(
      WorkspaceOpener(try node.open().options, warn: warn), files: files, usesTLS: usesTLS)
  }

  /// Takes a snapshot with this kernel.
  @discardableResult
  func snapshot(kernel: String, tags: [String] = []) throws -> CommittedSnapshot {
    try node.write(kernel, to: "img/kernel")
    return try node.open().snapshot("compute", tags: tags).committed
  }

  func get(
    _ path: String, headers: [(name: String, value: String)] = [("host", "mn:7070")]
  ) -> HTTPResponse {
    let parts = path.split(separator: "?", maxSplits: 1).map(String.init)
    guard let target = RequestPath(target: Array(parts[0].utf8)),
      let query = RequestQuery(encoded: Array((parts.count > 1 ? parts[1] : "").utf8))
    else { return HTTPResponse(.badRequest) }
    return routes.respond(to: HTTPRequest(target, query: query, headers: headers))
  }

  /// Returns the body of a successful answer.
  func body(_ path: String) throws -> [UInt8] {
    let response = get(path)
    guard response.status == .ok else {
      let text = String(decoding: try bytes(response), as: UTF8.self)
      throw TestFailure("\(path): \(response.status), \(text)")
    }
    return try bytes(response)
  }

  func text(_ path: String) throws -> String { String(decoding: try body(path), as: UTF8.self) }

  /// Waits until no rendering runs, so that finished files are published.
  func waitForRenderings() {
    while files.counts.renderings > 0 { usleep(2000) }
  }
}

/// Returns the whole body of an answer, as a client of the server receives it.
func bytes(_ response: HTTPResponse) throws -> [UInt8] {
  switch response.body {
  case .bytes(let bytes): return bytes
  case .absent: throw TestFailure("the answer has no content")
  case .file(let file, let offset, let size): return try read(file, offset..<(offset + size))
  case .growing(let growing):
    var result: [UInt8] = []
    while true {
      let progress = growing.progress
      switch progress {
      case .growing(let available):
        result += try read(growing.descriptor, UInt64(result.count)..<available)
        let signal = DispatchSemaphore(value: 0)
        growing.notify(after: progress) { signal.signal() }
        signal.wait()
      case .finished(let size):
        return result + (try read(growing.descriptor, UInt64(result.count)..<size))
      case .failed: throw TestFailure("the rendering failed")
      }
    }
  }
}

private func read(_ file: Descriptor, _ range: Range<UInt64>) throws -> [UInt8] {
  var bytes = [UInt8](repeating: 0, count: Int(range.count))
  let count = try bytes.withUnsafeMutableBytes {
    try KernelFileSystem.shared.readFully(file.raw, at: range.lowerBound, into: $0)
  }
  guard count == bytes.count else { throw TestFailure("the file is shorter than announced") }
  return bytes
}

/// Returns a header field of an answer.
func field(_ response: HTTPResponse, _ name: String) -> String? {
  response.headers.first { $0.name == name }?.value
}
