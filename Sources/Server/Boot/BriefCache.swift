// Values that are kept for a few seconds: what many requests of one moment ask for, and what may cost a program of
// xCAT each time.
//
// 1. A value is computed once: other threads wait for it.
// 2. An error is not kept.

import Images
import Platform

/// A cache of values that may be a few seconds old.
public final class BriefCache<Value: Sendable>: Sendable {
  private struct Slot {
    var value: Value?
    var expires: Double
  }

  private let seconds: Double
  private let maxCount: Int
  /// A slot without a value is being computed.
  private let slots = Monitor<[String: Slot]>([:])

  /// Creates an empty cache.
  public init(seconds: Double = 5, maxCount: Int = 1024) {
    self.seconds = seconds
    self.maxCount = maxCount
  }

  /// Returns the value of a key, which `compute` computes if there is none.
  /// - Throws: the errors of `compute`.
  public func value(_ key: String, _ compute: () throws -> Value) throws -> Value {
    let known = slots.wait { slots -> Value?? in
      if let slot = slots[key] {
        guard let value = slot.value else { return nil }
        if slot.expires > monotonicSeconds() { return .some(value) }
      }
      slots[key] = Slot(value: nil, expires: 0)
      return .some(nil)
    }
    if let known { return known }
    do {
      let value = try compute()
      slots.update { slots in
        if slots.count >= maxCount { removeOld(&slots) }
        slots[key] = Slot(value: value, expires: monotonicSeconds() + seconds)
      }
      return value
    } catch {
      slots.update { $0[key] = nil }
      throw error
    }
  }

  private func removeOld(_ slots: inout [String: Slot]) {
    let now = monotonicSeconds()
    slots = slots.filter { $0.value.value == nil || $0.value.expires > now }
    // All are young: those that are complete go.
    if slots.count >= maxCount { slots = slots.filter { $0.value.value == nil } }
  }
}
