// A client that sends raw bytes, and parses answers more strictly than any browser.

import Glibc
import Platform

/// A TCP connection to a server on this machine.
final class RawClient {
  private let socket: Int32
  private var buffer: [UInt8] = []

  /// Connects.
  /// - Parameter receiveBytes: the size of the kernel's buffer, for slow readers; nil for the system's.
  init(_ address: String, receiveBytes: Int32? = nil) throws {
    let isLong = address.hasPrefix("[")
    let parts = address.split(separator: ":")
    guard let port = UInt16(parts.last ?? "") else { throw ClientError("no port in \(address)") }
    socket = Glibc.socket(isLong ? AF_INET6 : AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    if var size = receiveBytes {
      setsockopt(socket, SOL_SOCKET, SO_RCVBUF, &size, socklen_t(MemoryLayout<Int32>.size))
    }
    var seconds = timeval(tv_sec: 20, tv_usec: 0)
    setsockopt(socket, SOL_SOCKET, SO_RCVTIMEO, &seconds, socklen_t(MemoryLayout<timeval>.size))
    setsockopt(socket, SOL_SOCKET, SO_SNDTIMEO, &seconds, socklen_t(MemoryLayout<timeval>.size))
    var result: Int32
    if isLong {
      var to = sockaddr_in6()
      to.sin6_family = sa_family_t(AF_INET6)
      to.sin6_port = port.bigEndian
      to.sin6_addr = in6addr_loopback
      result = withUnsafePointer(to: &to) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in6>.size))
        }
      }
    } else {
      var to = sockaddr_in()
      to.sin_family = sa_family_t(AF_INET)
      to.sin_port = port.bigEndian
      to.sin_addr.s_addr = inet_addr("127.0.0.1")
      result = withUnsafePointer(to: &to) { pointer in
        pointer.withMemoryRebound(to: sockaddr.self, capacity: 1) {
          connect(socket, $0, socklen_t(MemoryLayout<sockaddr_in>.size))
        }
      }
    }
    guard result == 0 else { throw ClientError("cannot connect to \(address): \(errno)") }
  }

  deinit { close(socket) }

  /// Sends bytes; false if the connection is closed.
  @discardableResult
  func send(_ bytes: some Sequence<UInt8>) -> Bool {
    var rest = Array(bytes)[...]
    while !rest.isEmpty {
      let sent = rest.withUnsafeBytes {
        Glibc.send(socket, $0.baseAddress, $0.count, Int32(MSG_NOSIGNAL))
      }
      guard sent > 0 else { return false }
      rest = rest.dropFirst(sent)
    }
    return true
  }

  @discardableResult
  func send(_ text: String) -> Bool { send(Array(text.utf8)) }

  /// Ends the output of the client.
  func shutdownOutput() { shutdown(socket, Int32(SHUT_WR)) }

  enum Received: Equatable {
    case bytes
    case end
    case reset
    case timeout
  }

  /// Receives some bytes into the buffer.
  func receive(atMost count: Int = 64 << 10) -> Received {
    var chunk = [UInt8](repeating: 0, count: count)
    let received = recv(socket, &chunk, count, 0)
    if received > 0 {
      buffer += chunk[..<received]
      return .bytes
    }
    if received == 0 { return .end }
    return errno == EAGAIN ? .timeout : .reset
  }

  /// Receives everything up to the end of the connection.
  func receiveAll() -> (bytes: [UInt8], end: Received) {
    while true {
      let state = receive()
      if state != .bytes {
        defer { buffer = [] }
        return (buffer, state)
      }
    }
  }

  /// Whether the server ends the connection without further bytes.
  func isEnded() -> Bool {
    guard buffer.isEmpty else { return false }
    let state = receive()
    return state == .end || state == .reset
  }

  /// Receives one answer.
  /// - Parameter isHead: whether the answer has no body.
  func answer(isHead: Bool = false) throws -> Answer {
    let head = try receive(through: Array("\r\n\r\n".utf8))
    var answer = try Answer(head: head)
    if isHead || answer.status == 304 || answer.status == 204 || answer.status < 200 {
      return answer
    }
    if answer.header("transfer-encoding") == "chunked" {
      answer.body = try chunks()
    } else if let length = answer.header("content-length") {
      guard let count = Int(length) else { throw ClientError("invalid length \(length)") }
      answer.body = try receive(count: count)
    } else {
      guard answer.header("connection") == "close" else {
        throw ClientError("a body without an end")
      }
      answer.body = receiveAll().bytes
    }
    return answer
  }

  /// Sends a request, and receives its answer.
  func exchange(_ request: String, isHead: Bool = false) throws -> Answer {
    send(request)
    return try answer(isHead: isHead)
  }

  private func chunks() throws -> [UInt8] {
    var body: [UInt8] = []
    while true {
      let line = try receive(through: [0x0d, 0x0a]).dropLast(2)
      guard let size = Int(String(decoding: line, as: UTF8.self), radix: 16) else {
        throw ClientError("invalid chunk size")
      }
      body += try receive(count: size)
      guard try receive(count: 2) == [0x0d, 0x0a] else {
        throw ClientError("a chunk without an end")
      }
      if size == 0 { return body }
    }
  }

  private func receive(count: Int) throws -> [UInt8] {
    while buffer.count < count {
      let state = receive()
      guard state == .bytes else { throw ClientError("ended in a body: \(state)") }
    }
    defer { buffer.removeFirst(count) }
    return Array(buffer[..<count])
  }

  private func receive(through end: [UInt8]) throws -> [UInt8] {
    var start = 0
    while true {
      while start + end.count <= buffer.count {
        if Array(buffer[start..<(start + end.count)]) == end {
          let count = start + end.count
          defer { buffer.removeFirst(count) }
          return Array(buffer[..<count])
        }
        start += 1
      }
      let state = receive()
      guard state == .bytes else { throw ClientError("ended in a head: \(state)") }
      guard buffer.count < 1 << 20 else { throw ClientError("an endless head") }
    }
  }
}

struct ClientError: Error, CustomStringConvertible {
  let description: String
  init(_ description: String) { self.description = description }
}

/// A parsed answer.
struct Answer {
  let status: Int
  let headers: [(name: String, value: String)]
  var body: [UInt8] = []

  var text: String { String(decoding: body, as: UTF8.self) }

  /// Parses a head, and checks its form.
  init(head: [UInt8]) throws {
    guard head.allSatisfy({ $0 >= 0x20 && $0 < 0x7f || $0 == 0x0d || $0 == 0x0a }) else {
      throw ClientError("a head with other than visible ASCII")
    }
    let text = String(decoding: head.dropLast(4), as: UTF8.self)
    let lines = text.split(separator: "\r\n", omittingEmptySubsequences: false)
    let first = lines[0].split(separator: " ", maxSplits: 2, omittingEmptySubsequences: false)
    guard first.count == 3, first[0] == "HTTP/1.1", let status = Int(first[1]), !first[2].isEmpty,
      (100...599).contains(status)
    else { throw ClientError("invalid status line: \(lines[0])") }
    self.status = status
    headers = try lines.dropFirst().map { line in
      guard let colon = line.firstIndex(of: ":"), colon > line.startIndex,
        !line[..<colon].contains(" "), !line.contains("\r"), !line.contains("\n")
      else { throw ClientError("invalid field: \(line)") }
      return (
        line[..<colon].lowercased(),
        String(line[line.index(after: colon)...].drop { $0 == " " })
      )
    }
    guard status < 200 || header("date") != nil else { throw ClientError("no date") }
    for name in [
      "content-length", "transfer-encoding", "date", "connection", "content-range",
      "x-content-type-options",
    ]
    where headers.filter({ $0.name == name }).count > 1 {
      throw ClientError("two fields named \(name)")
    }
    guard header("content-length") == nil || header("transfer-encoding") == nil else {
      throw ClientError("two framings")
    }
  }

  func header(_ name: String) -> String? { headers.first { $0.name == name }?.value }
}
