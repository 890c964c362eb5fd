// A party between client and server that changes one message of one direction.

import Codec
import Foundation
import Platform
import RemoteProtocol
import TestSupport

/// What happens to one message.
enum Mutation: CaseIterable {
  case flipByte, hugeLength, zeroLength, otherType, cutBody, cutStream, duplicate, drop, swap
  case insertNoise, hugeCount, otherID, hostileFailure, manyFailures, endlessBody, longerBody
}

/// The messages of one direction, changed.
final class MutatedDirection {
  private let from: ByteStream
  private let to: ByteStream
  private let mutation: Mutation
  private var target: Int
  private var random: SplitMix64
  private var pending: [UInt8] = []
  private var hasGreeted = false
  private var held: [UInt8]?
  private var ids: [ArraySlice<UInt8>] = []

  init(
    from: ByteStream, to: ByteStream, mutation: Mutation, target: Int, seed: UInt64
  ) {
    (self.from, self.to, self.mutation, self.target) = (from, to, mutation, target)
    random = SplitMix64(seed)
  }

  /// Passes on messages until a side closes its stream.
  func run() throws {
    var buffer = [UInt8](repeating: 0, count: 64 << 10)
    while true {
      let ready = try from.wait(reads: true, writes: false, milliseconds: 10_000)
      guard ready.canRead else { return }
      guard let n = try buffer.withUnsafeMutableBytes({ try from.read(into: $0) }) else { continue }
      if n == 0 { return }
      pending += buffer[..<n]
      while let message = takeMessage() {
        guard try pass(message) else { return }
      }
    }
  }

  private func takeMessage() -> [UInt8]? {
    if !hasGreeted {
      guard let end = pending.firstIndex(of: 0x0a) else { return nil }
      hasGreeted = true
      defer { pending.removeFirst(end + 1) }
      return Array(pending[...end])
    }
    guard pending.count >= 5 else { return nil }
    let count = 5 + (1...4).reduce(0) { $0 | Int(pending[$1]) << (8 * ($1 - 1)) }
    guard pending.count >= count else { return nil }
    defer { pending.removeFirst(count) }
    return Array(pending[..<count])
  }

  /// Returns false to end the stream.
  private func pass(_ message: [UInt8]) throws -> Bool {
    if let held {
      self.held = nil
      try send(message)
      try send(held)
      return true
    }
    if message.first == MessageType.keepAlive.rawValue {
      try send(message)
      return true
    }
    target -= 1
    guard target == -1 else {
      try send(message)
      return true
    }
    return try mutate(message)
  }

  private func mutate(_ original: [UInt8]) throws -> Bool {
    var message = original
    let bodyBytes = message.count - 5
    switch mutation {
    case .flipByte: message[index(message.count)] ^= UInt8(1 << index(8))
    case .hugeLength:
      for (offset, byte) in [0xff, 0xff, 0xff, 0x7f].enumerated() where message.count > 4 {
        message[1 + offset] = UInt8(byte)
      }
    case .zeroLength: if message.count >= 5 { message = [message[0], 0, 0, 0, 0] }
    case .otherType: message[0] = UInt8(index(256))
    case .cutBody: message = withLength(Array(message.prefix(5 + index(max(1, bodyBytes)))))
    case .longerBody: message = withLength(message + random.bytes(index(5000) + 1))
    case .cutStream:
      try send(Array(message.prefix(index(message.count))))
      return false
    case .duplicate: try send(message)
    case .drop: return true
    case .swap:
      held = message
      return true
    case .insertNoise:
      let type = MessageType.allCases[index(MessageType.allCases.count)].rawValue
      try send(withLength([type, 0, 0, 0, 0] + random.bytes(index(60))))
    case .hugeCount:
      for offset in 5..<max(5, min(14, message.count)) { message[offset] = 0xff }
      if message.count > 14 { message[14] = 0x01 }
    case .otherID: replaceID(&message)
    case .hostileFailure, .manyFailures:
      let text = "\u{1b}[31m\u{202e}../../etc/passwd\n" + String(repeating: "A", count: 20_000)
      let body = FailureMessage(Failure<ProxyDomain>(.damaged, text, text, hint: text)).body
      let types: [MessageType] = [.failure, .appendFailure]
      let count = mutation == .manyFailures ? 50 : 1
      for _ in 0..<count { try send(withLength([types[index(2)].rawValue, 0, 0, 0, 0] + body)) }
    case .endlessBody:
      if message.count < 5 { return true }
      // A large length that the type allows, and bytes that trickle.
      message = [message[0], 0, 0, 0, 1] + random.bytes(100)
    }
    try send(message)
    return true
  }

  private func replaceID(_ message: inout [UInt8]) {
    guard message.count > 40 else { return }
    let offset = 5 + index(message.count - 5 - 32)
    message.replaceSubrange(offset..<offset + 32, with: random.bytes(32))
  }

  private func withLength(_ message: [UInt8]) -> [UInt8] {
    guard message.count >= 5 else { return message }
    let count = message.count - 5
    return [message[0]] + (0..<4).map { UInt8(truncatingIfNeeded: count >> ($0 * 8)) }
      + message[5...]
  }

  private func index(_ limit: Int) -> Int { Int(random.next() % UInt64(max(1, limit))) }

  private func send(_ bytes: [UInt8]) throws {
    var done = 0
    try bytes.withUnsafeBytes { bytes in
      while done < bytes.count {
        let rest = UnsafeRawBufferPointer(rebasing: bytes[done...])
        if let n = try to.write(rest, UnsafeRawBufferPointer(start: nil, count: 0)) {
          done += n
        } else {
          let ready = try to.wait(reads: false, writes: true, milliseconds: 5000)
          guard ready.canWrite else { throw TestFailure("the receiver does not read") }
        }
      }
    }
  }
}

private enum ProxyDomain: FailureDomain {
  static let usualCode = ErrorCode.failed
}
