// Who makes the deflate streams of recipes again: a pool of encoders, one for each thread and method.

import Codec
import Platform
import Store

/// The encoders of this program, for `ObjectStore`.
public final class DeflateReencoderPool: StreamReencoder {
  public static let shared = DeflateReencoderPool()

  private final class Encoder: @unchecked Sendable {  // taken out of the pool by one thread
    var replayer: DeflateReencoder
    init(_ method: DeflateMethod) { replayer = DeflateReencoder(method) }
  }

  /// Idle encoders: a few hundred KiB each.
  private let idle = Monitor<[Encoder]>([])
  private static let maxIdle = 2 * processorCount

  public init() {}

  public func fingerprint(of encoder: DeflateMethod.Encoder) -> String {
    EncoderFingerprint.of(encoder)
  }

  public func replay(
    _ run: DeflatePlan.Run, _ method: DeflateMethod, _ bytes: UnsafeRawBufferPointer,
    history: Int, isLast: Bool, into target: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    let encoder = take(method)
    defer { release(encoder) }
    return try encoder.replayer.replay(
      bytes, history: history, plainBytes: run.plainBytes, carry: run.carry, isLast: isLast
    ) { made in
      let count = min(made.count, target.count)
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: made[..<count]))
      return count
    }
  }

  private func take(_ method: DeflateMethod) -> Encoder {
    let known = idle.withLock { idle -> Encoder? in
      guard let index = idle.lastIndex(where: { $0.replayer.method == method }) else { return nil }
      return idle.remove(at: index)
    }
    return known ?? Encoder(method)
  }

  private func release(_ encoder: Encoder) {
    idle.withLock { idle in
      idle.append(encoder)
      if idle.count > DeflateReencoderPool.maxIdle { idle.removeFirst() }
    }
  }
}
