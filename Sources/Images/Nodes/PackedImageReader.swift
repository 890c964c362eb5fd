// Reads the identity out of a packed root image: cpio, tar or squashfs, in any compression that we read.

import Archive
import Codec
import Platform
import Recipes
import Render

/// Finds opt/xcat/xcatinfo in packed images.
enum PackedImageReader {
  /// Returns the identity; nil if the archive has none.
  /// - Throws: `ArchiveError` for content that is not an archive; the errors of the source.
  static func info(in source: RandomAccessSource) throws -> ImageInfo? {
    let finder = InfoFinder()
    let head = try source.bytes(0..<min(source.sizeBytes, 512))
    let stream: ByteSource
    if head.starts(with: SquashfsReader.magic) {
      stream = try SquashfsReader(sizeBytes: source.sizeBytes) { offset, target in
        guard try source.read(at: offset, into: target) == target.count else {
          throw ArchiveError("the image is truncated")
        }
      }.tarStream(top: [])
    } else {
      stream = source.stream(from: 0)
    }
    do { try ArchiveWalk(finder).run(stream) } catch is InfoFinder.Done {}
    return finder.info
  }

  /// Ends a walk at the file that it looks for.
  private final class InfoFinder: ArchiveVisitor {
    struct Done: Error {}
    var info: ImageInfo?

    func wantsContent(_ member: WalkedMember) -> Bool {
      member.isFile && member.sizeBytes <= UInt64(ImageInfo.maxBytes)
        && RelativePath(written: member.path) == ImageInfo.path
    }

    func visit(_ member: WalkedMember, _ content: [UInt8]?) throws -> MemberAction {
      guard let content, let info = ImageInfo(content) else { return .kept }
      self.info = info
      throw Done()
    }

    func look(_ member: WalkedMember, _ read: @escaping ByteSource) throws {}
  }
}
