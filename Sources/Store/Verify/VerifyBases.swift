// The part of a verification that looks for the bases of frames (FrameBase.swift). A frame that no snapshot needs may
// lack its base: so the objects of such frames are listed, and only a snapshot that needs one makes a problem of it.

import Codec
import Platform

extension VerifyRun {
  /// Lists the objects of frames whose bases are missing as damaged.
  /// - Returns: these objects.
  func checkBases() throws(StoreError) -> [Digest] {
    let index = store.index
    var complete: Set<FrameAddress> = []
    var chunks: [Digest] = []
    // The least deep frames come first, so each one is asked about the frames below it only once.
    for address in try index.framesWithBases().reversed() {
      // A deep verification reports a directory that cannot be read.
      guard let frame = try? index.directory(of: address), let base = frame.base else { continue }
      var missing: FrameBase.Chunk?
      for chunk in base.chunks {
        let location = try index.location(.chunk, chunk.id)
        if let location, location.length == chunk.length, location.depth < base.depth,
          location.depth == 0 || complete.contains(location.address)
        {
          continue
        }
        missing = chunk
        break
      }
      guard let missing else {
        complete.insert(address)
        continue
      }
      let reason =
        "pack \(address.pack.shortHex) at \(address.offset), which is based on chunk \(missing.id.hex)"
      badFrames.withLock { _ = $0.insert(address) }
      for object in frame.objects {
        chunks.append(object.id)
        damaged.withLock { damaged in
          let name = ObjectName(kind: object.kind, id: object.id)
          if damaged[name] == nil { damaged[name] = reason }
        }
      }
    }
    return chunks
  }
}
