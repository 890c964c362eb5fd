// The limits of one run, for `gc`, `optimize` and `verify`.

import ArgumentParser
import Images

/// The options that limit one run.
struct BudgetOptions: ParsableArguments {
  @Option(
    help: ArgumentHelp(
      "Rewrite at most this many bytes of packs (500M, 2G); a pack, up to 128M, is never split",
      valueName: "size"))
  var maxBytes: String?
  @Option(
    help: ArgumentHelp(
      "Start no work and stop waiting after this time (90s, 5m, 2h); the current pack is completed",
      valueName: "time"))
  var maxTime: String?

  /// Returns a request with these limits.
  /// - Throws: `ValidationError` for an invalid size or time.
  func request(_ rewriting: CollectionRequest.Rewriting) throws -> CollectionRequest {
    var request = CollectionRequest()
    request.rewriting = rewriting
    request.maxBytes = try maxBytes.map(BudgetOptions.bytes)
    request.maxSeconds = try maxTime.map(BudgetOptions.seconds)
    return request
  }

  func validate() throws { _ = try request(.none) }

  /// Returns the number of bytes of a size such as "500M"; see `Quantity.bytes`.
  static func bytes(_ text: String) throws -> UInt64 {
    guard let bytes = Quantity.bytes(text) else {
      throw ValidationError("invalid size '\(text)'; use 800k, 500M, 1.5G or 2Gi.")
    }
    return bytes
  }

  /// Returns the seconds of a time such as "90s"; see `Quantity.seconds`.
  static func seconds(_ text: String) throws -> Double {
    guard let seconds = Quantity.seconds(text) else {
      throw ValidationError("invalid time '\(text)'; use 90s, 5m, 1h30m or 1d.")
    }
    return seconds
  }
}
