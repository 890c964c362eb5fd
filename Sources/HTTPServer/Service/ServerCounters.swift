// The numbers of the server for its metrics. A request takes the lock once, after its answer.

import Platform

/// An answer, for the access log and the counters.
public struct AccessRecord: Sendable {
  /// When the request was complete.
  public let time: Timestamp
  /// The address of the client, with its port.
  public let peer: String
  public let method: String
  /// The target as it was sent, in printable form, bounded.
  public let target: String
  public let status: Int
  /// The sent bytes of the body.
  public let bodyBytes: UInt64
  public let seconds: Double
  /// The User-Agent field in printable form, bounded; empty if there is none.
  public let userAgent: String
  /// Whether the whole answer was sent.
  public let isComplete: Bool
}

/// Counts requests and connections.
public final class ServerCounters: Sendable {
  /// The upper bounds of the buckets of times, in seconds.
  public static let bucketSeconds = [0.005, 0.025, 0.1, 0.5, 2.5, 10, 60, 300]

  /// The counts of one class of requests.
  public struct Route: Sendable {
    /// Requests by the status of their answer.
    public internal(set) var statuses: [Int: UInt64] = [:]
    public internal(set) var bodyBytes: UInt64 = 0
    /// Answers that were not sent as a whole.
    public internal(set) var incomplete: UInt64 = 0
    /// Requests by time: one count for each bound, and one for longer times. They are not cumulative.
    public internal(set) var buckets = [UInt64](
      repeating: 0, count: ServerCounters.bucketSeconds.count + 1)
    public internal(set) var seconds = 0.0
  }

  /// All counts at one time.
  public struct Values: Sendable {
    public internal(set) var routes: [String: Route] = [:]
    public internal(set) var connections: UInt64 = 0
    public internal(set) var openConnections = 0
    /// Connections that were refused because too many were open.
    public internal(set) var refusedConnections: UInt64 = 0
    /// Requests that were refused because too many were waiting.
    public internal(set) var refusedRequests: UInt64 = 0
    /// Connections that ended because the client was too slow.
    public internal(set) var timeouts: UInt64 = 0
  }

  private let state = Monitor(Values())

  /// Creates counters at zero.
  public init() {}

  /// The counts.
  public var values: Values { state.withLock { $0 } }

  /// Changes the counts; wakes those who wait for connections to end.
  func update(_ body: (inout Values) -> Void) { state.update { body(&$0) } }

  func record(_ record: AccessRecord, route: String) {
    state.withLock { values in
      var counts = values.routes[route] ?? Route()
      counts.statuses[record.status, default: 0] += 1
      counts.bodyBytes &+= record.bodyBytes
      if !record.isComplete { counts.incomplete += 1 }
      let bucket = ServerCounters.bucketSeconds.firstIndex { record.seconds <= $0 }
      counts.buckets[bucket ?? ServerCounters.bucketSeconds.count] += 1
      counts.seconds += record.seconds
      values.routes[route] = counts
    }
  }

  /// Opens a connection.
  /// - Returns: false if there are too many.
  func open(limit: Int) -> Bool {
    state.withLock { values in
      values.connections += 1
      guard values.openConnections < limit else {
        values.refusedConnections += 1
        return false
      }
      values.openConnections += 1
      return true
    }
  }

  func close() { state.update { $0.openConnections -= 1 } }
}
