//! cuBLASLt: its handles as values that give themselves back, and its calls as functions that cannot be called wrongly.
//!
//! Only algorithms whose sums have one fixed order get out of here: no split of k that is added up afterwards, in whatever way.
//! (cudarc's own layer above these calls panics when a handle is given back late, and asks the heuristics at every product.)

use std::{ffi::c_void, ptr, rc::Rc};

use cudarc::cublaslt::sys;

use crate::lora::cuda::driver::{
    calls::{Called, Memory, Stream},
    device::Element,
    fault::Fault,
    product::{Allowed, Columns, product},
};

/// Bytes of memory that the library may use within one product: what its makers recommend for the largest GPUs.
pub const WORKSPACE: u64 = 32 << 20;

/// How pointers are aligned, in bytes: what [`crate::lora::cuda::driver::device::Gemm`] promises, and all that an algorithm may count on. It is the
/// same for all products, so that moving a buffer changes no algorithm.
const ALIGNMENT: u32 = 16;

fn ok(status: sys::cublasStatus_t) -> Called {
    match status as u32 {
        0 => Ok(()),
        status => Err(Fault::Library(status)),
    }
}

/// A plain number as the bytes that an attribute is set to.
fn raw<T: Copy>(number: &T) -> (*const c_void, usize) {
    (ptr::from_ref(number).cast(), size_of::<T>())
}

/// How a matrix lies in memory.
struct Layout(sys::cublasLtMatrixLayout_t);

impl Layout {
    fn new(columns: &Columns, kind: sys::cudaDataType) -> Called<Self> {
        let mut layout = ptr::null_mut();
        // SAFETY: the call writes one handle; column-major is what a layout begins as.
        ok(unsafe {
            sys::cublasLtMatrixLayoutCreate(
                &mut layout,
                kind,
                columns.rows,
                columns.columns,
                columns.ld,
            )
        })?;
        Ok(Self(layout))
    }
}

impl Drop for Layout {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        let _ = unsafe { sys::cublasLtMatrixLayoutDestroy(self.0) };
    }
}

/// What is computed: f32 sums, transpositions, the bias.
struct Operation(sys::cublasLtMatmulDesc_t);

impl Operation {
    fn new() -> Called<Self> {
        let (sums, scale) = (
            sys::cublasComputeType_t::CUBLAS_COMPUTE_32F,
            sys::cudaDataType_t::CUDA_R_32F,
        );
        let mut operation = ptr::null_mut();
        // SAFETY: the call writes one handle.
        ok(unsafe { sys::cublasLtMatmulDescCreate(&mut operation, sums, scale) })?;
        Ok(Self(operation))
    }

    /// `number` has the type that the attribute is documented to have.
    fn set<T: Copy>(&self, which: sys::cublasLtMatmulDescAttributes_t, number: T) -> Called {
        let (at, bytes) = raw(&number);
        // SAFETY: the handle lives; the call reads as many bytes as it is told, of a number that outlives it.
        ok(unsafe { sys::cublasLtMatmulDescSetAttribute(self.0, which, at, bytes) })
    }
}

impl Drop for Operation {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        let _ = unsafe { sys::cublasLtMatmulDescDestroy(self.0) };
    }
}

/// Which algorithms may be proposed.
struct Preference(sys::cublasLtMatmulPreference_t);

impl Preference {
    /// Proposals may add partial sums in the ways that `schemes` has the bits of.
    fn new(schemes: sys::cublasLtReductionScheme_t) -> Called<Self> {
        use sys::cublasLtMatmulPreferenceAttributes_t as Attribute;
        let mut preference = ptr::null_mut();
        // SAFETY: the call writes one handle.
        ok(unsafe { sys::cublasLtMatmulPreferenceCreate(&mut preference) })?;
        let preference = Self(preference);
        preference.set(
            Attribute::CUBLASLT_MATMUL_PREF_MAX_WORKSPACE_BYTES,
            WORKSPACE,
        )?;
        preference.set(
            Attribute::CUBLASLT_MATMUL_PREF_REDUCTION_SCHEME_MASK,
            schemes as u32,
        )?;
        for which in [
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_A_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_B_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_C_BYTES,
            Attribute::CUBLASLT_MATMUL_PREF_MIN_ALIGNMENT_D_BYTES,
        ] {
            preference.set(which, ALIGNMENT)?;
        }
        Ok(preference)
    }

    /// `number` has the type that the attribute is documented to have.
    fn set<T: Copy>(&self, which: sys::cublasLtMatmulPreferenceAttributes_t, number: T) -> Called {
        let (at, bytes) = raw(&number);
        // SAFETY: the handle lives; the call reads as many bytes as it is told, of a number that outlives it.
        ok(unsafe { sys::cublasLtMatmulPreferenceSetAttribute(self.0, which, at, bytes) })
    }
}

impl Drop for Preference {
    fn drop(&mut self) {
        // SAFETY: created once, destroyed once.
        let _ = unsafe { sys::cublasLtMatmulPreferenceDestroy(self.0) };
    }
}

/// A product's shape in the library's terms; products of one key share it.
pub struct Shape {
    operation: Operation,
    first: Layout,
    second: Layout,
    result: Layout,
}

impl Shape {
    /// That of a product.
    pub fn of(allowed: &Allowed) -> Called<Self> {
        use sys::{cublasLtMatmulDescAttributes_t as Attribute, cudaDataType_t::*};
        let gemm = allowed.gemm();
        let product = product(gemm);
        let operation = Operation::new()?;
        // cublasOperation_t: 0 takes a matrix as it is, 1 its transpose.
        operation.set(
            Attribute::CUBLASLT_MATMUL_DESC_TRANSA,
            u32::from(product.first.transposed),
        )?;
        operation.set(
            Attribute::CUBLASLT_MATMUL_DESC_TRANSB,
            u32::from(product.second.transposed),
        )?;
        if let Some(bias) = gemm.bias {
            let epilogue = sys::cublasLtEpilogue_t::CUBLASLT_EPILOGUE_BIAS as u32;
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_EPILOGUE, epilogue)?;
            // The heuristics look at its alignment. Its type is that of D unless said otherwise.
            operation.set(Attribute::CUBLASLT_MATMUL_DESC_BIAS_POINTER, bias.0)?;
        }
        let kind = match gemm.element {
            Element::Bf16 => CUDA_R_16BF,
            Element::F32 => CUDA_R_32F,
        };
        Ok(Self {
            operation,
            first: Layout::new(&product.first, CUDA_R_16BF)?,
            second: Layout::new(&product.second, CUDA_R_16BF)?,
            result: Layout::new(&product.result, kind)?,
        })
    }
}

/// An algorithm that was found to serve a shape on this machine, with sums of a fixed order.
#[derive(Clone, Copy, PartialEq, Eq)]
pub struct Algorithm(sys::cublasLtMatmulAlgo_t);

impl Algorithm {
    /// As the library wrote it; the same version of it on the same GPU understands it again.
    pub fn words(&self) -> [u64; 8] {
        self.0.data
    }

    /// Whether its sums are made in one fixed order: k is not split, so nothing is added up afterwards.
    fn is_ordered(&self) -> bool {
        use sys::cublasLtMatmulAlgoConfigAttributes_t as Attribute;
        let splits = self.number(Attribute::CUBLASLT_ALGO_CONFIG_SPLITK_NUM);
        let scheme = self.number(Attribute::CUBLASLT_ALGO_CONFIG_REDUCTION_SCHEME);
        matches!((splits, scheme), (Ok(0 | 1), Ok(0)))
    }

    fn number(&self, which: sys::cublasLtMatmulAlgoConfigAttributes_t) -> Called<u32> {
        let (mut number, mut written) = (u32::MAX, 0);
        let at = ptr::from_mut(&mut number).cast();
        // SAFETY: the call reads the algorithm and writes at most the four bytes of `number`, and one size.
        ok(unsafe {
            sys::cublasLtMatmulAlgoConfigGetAttribute(
                &self.0,
                which,
                at,
                size_of::<u32>(),
                &mut written,
            )
        })?;
        Ok(number)
    }
}

/// The library, at work on one stream.
pub struct Library {
    handle: sys::cublasLtHandle_t,
    /// No partial sums; and any, for the case that the library takes "none" for "no proposals".
    preferences: [Preference; 2],
    workspace: Memory,
    stream: Rc<Stream>,
}

impl Library {
    /// Starts it on a stream's GPU.
    pub fn open(stream: &Rc<Stream>) -> Called<Self> {
        let workspace = Memory::reserve(stream.session(), WORKSPACE)?;
        use sys::cublasLtReductionScheme_t::*;
        let preferences = [
            Preference::new(CUBLASLT_REDUCTION_SCHEME_NONE)?,
            Preference::new(CUBLASLT_REDUCTION_SCHEME_MASK)?,
        ];
        let mut handle = ptr::null_mut();
        // SAFETY: the session's context is current, and the library uses it; the call writes one handle.
        ok(unsafe { sys::cublasLtCreate(&mut handle) })?;
        Ok(Self {
            handle,
            preferences,
            workspace,
            stream: stream.clone(),
        })
    }

    /// The stream it works on.
    pub fn stream(&self) -> &Rc<Stream> {
        &self.stream
    }

    /// At most `most` algorithms for a shape whose sums have a fixed order, as the heuristics rank them.
    pub fn candidates(&self, shape: &Shape, most: usize) -> Called<Vec<Algorithm>> {
        let mut failed = Ok(());
        for preference in &self.preferences {
            match self.proposals(shape, preference, most) {
                Ok(found) if found.is_empty() => {}
                Ok(found) => return Ok(found),
                // The library says "not supported" where it has nothing to propose.
                Err(Fault::Library(15)) => {}
                Err(fault) => failed = failed.and(Err(fault)),
            }
        }
        failed.map(|()| Vec::new())
    }

    fn proposals(
        &self,
        shape: &Shape,
        preference: &Preference,
        most: usize,
    ) -> Called<Vec<Algorithm>> {
        let mut results = vec![blank(); most];
        let mut found = 0;
        // SAFETY: all handles live; the call writes at most `most` results, and how many they are.
        ok(unsafe {
            sys::cublasLtMatmulAlgoGetHeuristic(
                self.handle,
                shape.operation.0,
                shape.first.0,
                shape.second.0,
                shape.result.0,
                shape.result.0,
                preference.0,
                i32::try_from(most).unwrap_or(i32::MAX),
                results.as_mut_ptr(),
                &mut found,
            )
        })?;
        results.truncate(usize::try_from(found).unwrap_or(0));
        Ok(results.iter().filter_map(serves).collect())
    }

    /// A recorded algorithm, if the library takes it for this shape still.
    pub fn recorded(&self, shape: &Shape, words: [u64; 8]) -> Option<Algorithm> {
        let mut result = blank();
        let algorithm = sys::cublasLtMatmulAlgo_t { data: words };
        // SAFETY: all handles live; the call reads the algorithm, judges it, and writes one result.
        let checked = ok(unsafe {
            sys::cublasLtMatmulAlgoCheck(
                self.handle,
                shape.operation.0,
                shape.first.0,
                shape.second.0,
                shape.result.0,
                shape.result.0,
                &algorithm,
                &mut result,
            )
        });
        checked.ok()?;
        // The check promises to write the workspace only; the algorithm is the one that was checked.
        result.algo = algorithm;
        serves(&result)
    }

    /// Runs a product of this shape.
    pub fn run(&self, shape: &Shape, algorithm: &Algorithm, allowed: &Allowed) -> Called {
        let (gemm, product) = (allowed.gemm(), product(allowed.gemm()));
        if let Some(bias) = gemm.bias {
            let which = sys::cublasLtMatmulDescAttributes_t::CUBLASLT_MATMUL_DESC_BIAS_POINTER;
            shape.operation.set(which, bias.0)?;
        }
        let place = |part: &Columns| part.at.0 as *const c_void;
        // SAFETY: all handles live; the scalars are read before the call returns; the places are live and as long as the shape
        // says, the workspace as long as is told.
        ok(unsafe {
            sys::cublasLtMatmul(
                self.handle,
                shape.operation.0,
                raw(&gemm.alpha).0,
                place(&product.first),
                shape.first.0,
                place(&product.second),
                shape.second.0,
                raw(&gemm.beta).0,
                place(&product.result),
                shape.result.0,
                place(&product.result).cast_mut(),
                shape.result.0,
                &algorithm.0,
                self.workspace.at().0 as *mut c_void,
                WORKSPACE as usize,
                self.stream.raw().cast(),
            )
        })
    }
}

impl Drop for Library {
    fn drop(&mut self) {
        let _ = self.stream.wait();
        // SAFETY: created once, destroyed once, and at no work.
        let _ = unsafe { sys::cublasLtDestroy(self.handle) };
    }
}

/// A result for the library to write.
fn blank() -> sys::cublasLtMatmulHeuristicResult_t {
    sys::cublasLtMatmulHeuristicResult_t {
        algo: sys::cublasLtMatmulAlgo_t { data: [0; 8] },
        workspaceSize: 0,
        state: sys::cublasStatus_t::CUBLAS_STATUS_SUCCESS,
        wavesCount: 0.0,
        reserved: [0; 4],
    }
}

fn serves(result: &sys::cublasLtMatmulHeuristicResult_t) -> Option<Algorithm> {
    let algorithm = Algorithm(result.algo);
    let fits = result.workspaceSize as u64 <= WORKSPACE;
    (result.state as u32 == 0 && fits && algorithm.is_ordered()).then_some(algorithm)
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::lora::cuda::driver::{
        arena::Arena,
        device::{Address, Gemm, Matrix},
        presence::Presence,
        product::allow,
    };

    /// Descriptors need the library and no GPU: it refuses an attribute of the wrong size, or a layout that cannot be.
    #[test]
    fn the_library_takes_our_descriptors() {
        if let Err(missing) = Presence::look().library {
            eprintln!("skipped the_library_takes_our_descriptors: {missing}");
            return;
        }
        let mut arena = Arena::new(Address(4096), 1 << 20);
        let [a, b, d, bias] = [0; 4].map(|_| arena.reserve(1 << 16).expect("room"));
        for transposed in [[false, false], [true, false], [false, true], [true, true]] {
            for (element, bias) in [
                (Element::Bf16, Some(bias)),
                (Element::Bf16, None),
                (Element::F32, None),
            ] {
                let factor = |at, transposed| Matrix {
                    at,
                    ld: 64,
                    transposed,
                };
                let factors = [factor(a, transposed[0]), factor(b, transposed[1])];
                let gemm = Gemm {
                    element,
                    bias,
                    ..Gemm::new([40, 48, 56], factors[0], factors[1], d, 64)
                };
                let product = allow(&gemm, &arena).expect("allowed");
                assert!(Shape::of(&product).is_ok(), "{gemm:?}");
            }
        }
        assert!(
            Preference::new(sys::cublasLtReductionScheme_t::CUBLASLT_REDUCTION_SCHEME_NONE).is_ok()
        );
        let algorithm = Algorithm(blank().algo);
        let which = sys::cublasLtMatmulAlgoConfigAttributes_t::CUBLASLT_ALGO_CONFIG_SPLITK_NUM;
        println!(
            "an algorithm of zeros has {:?} splits of k",
            algorithm.number(which)
        );
    }
}
