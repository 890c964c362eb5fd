// The messages of `snapshot` with several images when a signal ends it: how many images are done.

import Images

/// The state of a run of snapshots, for "interrupted: …".
struct InterruptedSnapshots {
  /// The number of images that have their snapshot.
  let done: Int
  /// The number of images to snapshot.
  let all: Int

  /// Returns the message while an image is being snapshotted.
  func during(_ image: String) -> String {
    let none = "no snapshot\(image.isEmpty ? "" : " of \(image)") was taken"
    return all == 1 ? "interrupted: \(none)" : "\(state(done)); \(none)"
  }

  /// The message once that image has its snapshot; nil for a single image.
  var after: String? { all == 1 ? nil : state(done + 1) }

  /// Returns the message between two images.
  func state(_ done: Int) -> String {
    "interrupted: \(done) of \(count(all, "image")) \(done == 1 ? "was" : "were") snapshotted"
  }
}
