// A TCP server on the loopback address, with a thread for each connection. It uses blocking sockets and nothing
// of the client's library, so that an error there cannot hide here.

import Glibc
import Platform

/// A blocking connection.
public final class Connection: @unchecked Sendable {  // `file` is closed once, under the monitor
  private let file: Int32
  private let isOpen = Monitor(true)
  /// Bytes that were read, and belong to the next message.
  private var buffer: [UInt8] = []

  init(_ file: Int32) { self.file = file }

  deinit { close() }

  /// Connects to a port of the loopback address; nil if nobody listens.
  public convenience init?(port: UInt16) {
    let file = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopbackAddress(port)
    let status = withSocketAddress(&address) { connect(file, $0, $1) }
    guard status == 0 else {
      Glibc.close(file)
      return nil
    }
    self.init(file)
  }

  /// Ends both directions. A thread that reads or writes returns.
  public func close() {
    isOpen.withLock { isOpen in
      guard isOpen else { return }
      isOpen = false
      shutdown(file, Int32(SHUT_RDWR))
      Glibc.close(file)
    }
  }

  /// Ends reads and writes without closing the descriptor, from another thread than the reader's.
  func interrupt() { _ = isOpen.withLock { $0 ? shutdown(file, Int32(SHUT_RDWR)) : 0 } }

  /// Writes all bytes. Returns false if the peer has gone.
  @discardableResult
  public func write(_ bytes: [UInt8]) -> Bool {
    var done = 0
    while done < bytes.count {
      let count = bytes.withUnsafeBytes { buffer -> Int in
        guard let base = buffer.baseAddress else { return -1 }
        return send(file, base + done, bytes.count - done, Int32(MSG_NOSIGNAL))
      }
      if count <= 0 { return false }
      done += count
    }
    return true
  }

  /// Returns the next bytes; nil at the end.
  private func fill() -> Bool {
    var chunk = [UInt8](repeating: 0, count: 64 << 10)
    let count = recv(file, &chunk, chunk.count, 0)
    guard count > 0 else { return false }
    buffer += chunk[..<count]
    return true
  }

  /// Returns the bytes to the first empty line, which ends the head of a message; nil at the end.
  public func readHead() -> [UInt8]? {
    var searched = 0
    while true {
      let end = Array("\r\n\r\n".utf8)
      var index = max(searched - 3, 0)
      while index + 4 <= buffer.count {
        if buffer[index] == 0x0d, Array(buffer[index..<index + 4]) == end {
          let head = Array(buffer[..<(index + 4)])
          buffer.removeFirst(index + 4)
          return head
        }
        index += 1
      }
      searched = buffer.count
      guard buffer.count < 1 << 20, fill() else { return nil }
    }
  }

  /// Returns exactly `count` bytes; nil if the stream ends before.
  public func read(_ count: Int) -> [UInt8]? {
    while buffer.count < count { guard fill() else { return nil } }
    let bytes = Array(buffer[..<count])
    buffer.removeFirst(count)
    return bytes
  }

  /// Returns all bytes until the peer closes.
  public func readToEnd() -> [UInt8] {
    while fill() {}
    defer { buffer = [] }
    return buffer
  }
}

/// A listening socket whose connections are served by `serve`, until `stop`.
public final class LoopbackServer: Sendable {
  /// The port.
  public let port: UInt16
  private let listener: Int32
  private let connections = Monitor<[ObjectIdentifier: Connection]?>([:])
  private let accepted = Monitor(0)

  /// The number of connections so far.
  public var connectionCount: Int { accepted.withLock { $0 } }

  private let accepting: Monitor<ThreadHandle?>

  /// Starts to listen on a free port.
  public init(_ serve: @escaping @Sendable (Connection) -> Void) throws {
    let listener = socket(AF_INET, Int32(SOCK_STREAM.rawValue), 0)
    var address = loopbackAddress(0)
    guard withSocketAddress(&address, { bind(listener, $0, $1) }) == 0, listen(listener, 128) == 0
    else { throw SystemError(code: SystemError.Code(rawValue: errno), "listen", []) }
    var length = socklen_t(MemoryLayout<sockaddr_in>.size)
    _ = withUnsafeMutablePointer(to: &address) {
      $0.withMemoryRebound(to: sockaddr.self, capacity: 1) { getsockname(listener, $0, &length) }
    }
    self.listener = listener
    port = UInt16(bigEndian: address.sin_port)
    accepting = Monitor(nil)
    let (connections, accepted) = (connections, accepted)
    let handle = try startThread {
      while true {
        let file = accept(listener, nil, nil)
        guard file >= 0 else { return }
        accepted.withLock { $0 += 1 }
        var isOn: Int32 = 1
        setsockopt(
          file, Int32(IPPROTO_TCP), TCP_NODELAY, &isOn, socklen_t(MemoryLayout<Int32>.size))
        let connection = Connection(file)
        let isAccepted = connections.update { all -> Bool in
          guard all != nil else { return false }
          all?[ObjectIdentifier(connection)] = connection
          return true
        }
        guard isAccepted else { return connection.close() }
        let finish: @Sendable () -> Void = {
          connection.close()
          connections.update { $0?[ObjectIdentifier(connection)] = nil }
        }
        do {
          try startDetachedThread {
            serve(connection)
            finish()
          }
        } catch {
          finish()
        }
      }
    }
    accepting.withLock { $0 = handle }
  }

  deinit { stop() }

  /// Stops listening, and ends all connections.
  public func stop() {
    guard
      let handle = accepting.withLock({ handle -> ThreadHandle? in
        defer { handle = nil }
        return handle
      })
    else { return }
    let open = connections.update { all -> [Connection] in
      defer { all = nil }
      return all.map { Array($0.values) } ?? []
    }
    shutdown(listener, Int32(SHUT_RDWR))
    handle.join()
    close(listener)
    for connection in open { connection.interrupt() }
  }
}

private func loopbackAddress(_ port: UInt16) -> sockaddr_in {
  var address = sockaddr_in()
  address.sin_family = sa_family_t(AF_INET)
  address.sin_port = port.bigEndian
  address.sin_addr.s_addr = UInt32(0x7f00_0001).bigEndian
  return address
}

private func withSocketAddress<R>(
  _ address: inout sockaddr_in, _ body: (UnsafePointer<sockaddr>, socklen_t) -> R
) -> R {
  withUnsafePointer(to: &address) {
    $0.withMemoryRebound(to: sockaddr.self, capacity: 1) {
      body($0, socklen_t(MemoryLayout<sockaddr_in>.size))
    }
  }
}
