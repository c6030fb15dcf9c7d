// Types of simd, which metal_stdlib beside this folder has.
