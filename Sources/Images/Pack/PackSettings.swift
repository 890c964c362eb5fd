// The form of packed images that the configuration sets. It applies to the packed image in the image's own
// directory; the name of another output says which form it has.

import Render
import Settings
import Store
import XCAT

extension PackRequest {
  /// Uses the form of a configuration.
  /// - Parameters:
  ///   - keepsMethod: whether the caller chose the format.
  ///   - keepsCodec: whether the caller chose the compression.
  public mutating func use(_ settings: ImageSettings, keepsMethod: Bool, keepsCodec: Bool) {
    if !keepsMethod, let name = settings.packMethod?.value {
      method = PackMethod(rawValue: name) ?? method
    }
    if !keepsCodec, let name = settings.packCompression?.value {
      codec = SegmentCodec(rawValue: name) ?? codec
    }
  }
}

extension Workspace {
  /// Returns the settings of the image that a reference of `pack` names.
  /// - Throws: `ImageError` if there is no such image.
  public func packSettings(_ reference: String) throws -> ImageSettings {
    if options.configuration.images.isEmpty { return ImageSettings() }
    return context.settings(of: try ImageResolver(context).image(named: reference))
  }
}
