// What the kernel knows about the progress of a connection (tcp(7), TCP_INFO).

import NIOCore
import NIOPosix

extension Channel {
  /// How long the kernel has sent nothing; nil if it does not say so. It is asked on the event loop only.
  var sendIdleTime: TimeAmount? {
    guard let provider = self as? any SocketOptionProvider else { return nil }
    var milliseconds: UInt32?
    // On the event loop, the future has its value at once.
    provider.getTCPInfo().assumeIsolated().whenSuccess { milliseconds = $0.tcpi_last_data_sent }
    return milliseconds.map { .milliseconds(Int64($0)) }
  }
}
