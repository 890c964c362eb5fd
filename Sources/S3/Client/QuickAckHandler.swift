// Acknowledges each part of an answer at once.
//
// Linux waits up to 40 ms before it acknowledges a small segment. A service that uses Nagle's algorithm (RFC 896)
// sends the rest of a short answer only after the acknowledgement of its beginning: gateways of Ceph do, unless
// their frontend has `tcp_nodelay=1`. Without this handler, each question to such a service takes 40 ms.

import Glibc
import NIOCore

/// Turns off the delay of acknowledgements after each read: the kernel turns it on again (tcp(7), `TCP_QUICKACK`).
final class QuickAckHandler: ChannelInboundHandler {
  typealias InboundIn = ByteBuffer

  func channelReadComplete(context: ChannelHandlerContext) {
    // What does not support it is as slow as before.
    _ = context.channel.setOption(
      .tcpOption(NIOBSDSocket.Option(rawValue: TCP_QUICKACK)), value: 1)
    context.fireChannelReadComplete()
  }
}
