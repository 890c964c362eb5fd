// Copies the files of a directory to a bucket, or the objects of a bucket to files without names, for Benchmarks/s3.py:
//   s3transfer up|down DIRECTORY s3://BUCKET/PREFIX REQUESTS-AT-ONCE
// `down` reads the objects that have the names of the files, and verifies the SHA-256 of each.
// It prints the seconds and the number of requests.

import Codec
import Glibc
import ObjectStorage
import Platform
import S3

struct Transfer {
  let directory: Descriptor
  let names: [[UInt8]]
  let storage: S3Storage
  let system = KernelFileSystem.shared

  init(_ path: String, _ url: String, _ requests: Int) throws {
    directory = try system.openDirectory(at: system.workingDirectory, Array(path.utf8))
    names = try system.names(of: directory.raw).sorted { $0.lexicographicallyPrecedes($1) }
    var options = S3Settings.Options()
    options.requestsAtOnce = requests
    var variables: [String: String] = [:]
    for name in [
      "AWS_ENDPOINT_URL", "AWS_ACCESS_KEY_ID", "AWS_SECRET_ACCESS_KEY", "AWS_REGION", "HOME",
      "AWS_CA_BUNDLE",
    ] {
      variables[name] = Self.variable(name)
    }
    let settings = try S3Settings.find(
      try S3URL(parsing: url), options: options, origin: S3Settings.Origin(variables: variables))
    storage = S3Storage(settings)
  }

  private static func variable(_ name: String) -> String? {
    let text =
      (try? KernelFileSystem.shared.readSmallFile(
        at: KernelFileSystem.workingDirectory, Array("/proc/self/environ".utf8))) ?? []
    for entry in text.split(separator: 0) {
      let line = String(decoding: entry, as: UTF8.self)
      if line.hasPrefix(name + "=") { return String(line.dropFirst(name.count + 1)) }
    }
    return nil
  }

  func file(_ name: [UInt8]) throws -> (Descriptor, UInt64) {
    let file = try system.openFile(at: directory.raw, name, [.read])
    return (file, try system.stat(file.raw).size)
  }

  func digest(_ file: Descriptor, _ size: UInt64) throws -> Digest {
    var hash = SHA256()
    var buffer = [UInt8](repeating: 0, count: 1 << 20)
    var position: UInt64 = 0
    while position < size {
      let count = try buffer.withUnsafeMutableBytes {
        try system.read(file.raw, at: position, into: $0)
      }
      buffer.withUnsafeBytes { hash.update(UnsafeRawBufferPointer(rebasing: $0[..<count])) }
      position += UInt64(count)
    }
    return hash.finish()
  }

  /// Runs `body` for each name on `threads` threads.
  func run(_ threads: Int, _ body: @escaping @Sendable (Int) throws -> Void) throws -> Double {
    let next = Monitor(0)
    let count = names.count
    let start = monotonicSeconds()
    try runThreads(threads) { _ in
      while let index = next.withLock({ next -> Int? in
        guard next < count else { return nil }
        next += 1
        return next - 1
      }) {
        try body(index)
      }
    }
    return monotonicSeconds() - start
  }
}

let arguments = CommandLine.arguments
guard arguments.count == 5, let requests = Int(arguments[4]) else {
  print("usage: s3transfer up|down DIRECTORY s3://BUCKET/PREFIX REQUESTS-AT-ONCE")
  exit(2)
}
do {
  let transfer = try Transfer(arguments[2], arguments[3], requests)
  try transfer.storage.createBucket()
  // Packs are named by their hashes, so a push knows these before it begins.
  let digests = try transfer.names.map { name in
    let (file, size) = try transfer.file(name)
    return try transfer.digest(file, size)
  }
  let seconds = try transfer.run(requests) { index in
    let name = transfer.names[index]
    guard let key = ObjectKey(String(decoding: name, as: UTF8.self)) else { return }
    let (file, size) = try transfer.file(name)
    if arguments[1] == "up" {
      try transfer.storage.write(
        key, .file(descriptor: file.raw, sizeBytes: size, sha256: digests[index]))
    } else {
      var hash = SHA256()
      let copy = try transfer.system.openFile(
        at: transfer.directory.raw, Array(".".utf8), [.readWrite, .nameless])
      try transfer.storage.download(key, sizeBytes: size) { bytes in
        hash.update(bytes)
        try transfer.system.write(copy.raw, bytes)
      }
      guard hash.finish() == digests[index] else {
        throw StorageError(.damaged, "object \(key)", "differs")
      }
    }
  }
  print(seconds, transfer.storage.requestCount)
} catch {
  print((error as? any ExplainedError)?.messageWithHint ?? "\(error)")
  exit(1)
}
