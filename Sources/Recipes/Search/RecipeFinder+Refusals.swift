// Files that cannot become recipes are examined once by each version of the search.
//
// 1. The version has the number of the algorithm and the output of each encoder: another version of a
//    library, or a search that tries more, may find what this one does not.
// 2. Only a reason that the file's bytes imply is remembered, and only for bytes of the store: a live file
//    may change while it is read.

import Codec
import Store

extension RecipeFinder {
  /// The number of the algorithm. It increases with every change that may find more recipes.
  private static let algorithm = 1

  private static let search: Digest = {
    let encoders: [StreamMethod.Encoder] = [.zlib, .libdeflate, .gnuGzip, .zstd]
    let text = "recipes \(algorithm)\n" + encoders.map { EncoderFingerprint.of($0) + "\n" }.joined()
    return SHA256.digest(of: Array(text.utf8))
  }()

  /// Returns the files of a store that this version of the search has refused.
  public static func refused(in store: ObjectStore) -> Set<Digest> {
    store.refusedRecipes { search }
  }

  /// Remembers a file that cannot become a recipe. The caller holds the lock of recipes.
  func remember(refused blob: Digest) {
    store.rememberRefusedRecipe(of: blob, search: RecipeFinder.search)
  }
}
