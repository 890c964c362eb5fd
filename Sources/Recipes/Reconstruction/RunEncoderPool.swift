// Re-encodes the streams of recipes with a pool of encoders, one for each thread and method.

import Codec
import Platform

/// Encodes parts of compressed streams again. All methods may be called from any thread.
public protocol StreamReencoder: Sendable {
  /// Returns a text that identifies the output of the present encoder (`EncoderFingerprint`).
  func fingerprint(of encoder: StreamMethod.Encoder) -> String

  /// Encodes one run (`RunEncoder.replay`).
  /// - Parameters:
  ///   - bytes: the plain bytes of the run, preceded by `history` bytes and followed by the method's
  ///     lookahead.
  ///   - isLast: whether the run ends the stream.
  /// - Returns: the number of bytes written to `target`; bytes that do not fit are dropped.
  func replay(
    _ run: StreamPlan.Run, _ method: StreamMethod, _ bytes: UnsafeRawBufferPointer,
    history: Int, isLast: Bool, into target: UnsafeMutableRawBufferPointer
  ) throws -> Int
}

/// The encoders of this program.
public final class RunEncoderPool: StreamReencoder {
  /// The pool that all stores of the process share.
  public static let shared = RunEncoderPool()

  private final class Encoder: @unchecked Sendable {  // one thread at a time takes it from the pool
    var reencoder: RunEncoder
    init(_ method: StreamMethod) { reencoder = RunEncoder(method) }
  }

  /// The idle encoders, of a few hundred KiB each.
  private let idle = Monitor<[Encoder]>([])
  private static let maxIdle = 2 * processorCount
  /// The number of threads that use an encoder of up to 150 MiB at a time.
  static let maxLarge = min(processorCount, 2)
  private let largeEncoders = Gate(maxLarge)

  /// Creates an empty pool.
  public init() {}

  public func fingerprint(of encoder: StreamMethod.Encoder) -> String {
    EncoderFingerprint.of(encoder)
  }

  public func replay(
    _ run: StreamPlan.Run, _ method: StreamMethod, _ bytes: UnsafeRawBufferPointer,
    history: Int, isLast: Bool, into target: UnsafeMutableRawBufferPointer
  ) throws -> Int {
    if method.isLarge { largeEncoders.beginOne() }
    defer { if method.isLarge { largeEncoders.endOne() } }
    let encoder = acquire(method)
    defer { release(encoder) }
    return try encoder.reencoder.replay(
      bytes, history: history, plainBytes: run.plainBytes, carry: run.carry, isLast: isLast
    ) { output in
      let count = min(output.count, target.count)
      target.copyMemory(from: UnsafeRawBufferPointer(rebasing: output[..<count]))
      return count
    }
  }

  private func acquire(_ method: StreamMethod) -> Encoder {
    let known = idle.withLock { idle -> Encoder? in
      guard let index = idle.lastIndex(where: { $0.reencoder.method == method }) else { return nil }
      return idle.remove(at: index)
    }
    return known ?? Encoder(method)
  }

  private func release(_ encoder: Encoder) {
    // The memory of a large encoder is freed: it costs less to allocate than the encoding takes.
    if encoder.reencoder.method.isLarge { return }
    idle.withLock { idle in
      idle.append(encoder)
      if idle.count > RunEncoderPool.maxIdle { idle.removeFirst() }
    }
  }
}

/// Limits the number of threads that do something at a time.
private final class Gate: Sendable {
  private let free: Monitor<Int>

  init(_ count: Int) { free = Monitor(count) }

  /// Waits for a place, and takes it.
  func beginOne() {
    _ = free.wait { free -> Bool? in
      guard free > 0 else { return nil }
      free -= 1
      return true
    }
  }

  /// Gives the place back.
  func endOne() { free.update { $0 += 1 } }
}
