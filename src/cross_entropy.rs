//! Cross entropy of logits, with its gradient in the same pass.

use ndarray::{ArrayView, ArrayView1, ArrayViewMut, Axis, Dimension};

use crate::coefficients::ClassOptions;
use crate::compiled::{ClassLosses, compiled};
use crate::error::{Error, Result};
use crate::float::{Element, Float};
use crate::kernel::class_loss::LogitsLoss;
use crate::kernel::hessian::Hessian;
use crate::lanes::zeros;
use crate::loss::{
    CheckedLoss, Loss, LossAndGrad, LossAndGradHess, Reduction, loss, loss_and_grad,
};
use crate::targets::Targets;

/// Cross entropy of logits: the softmax loss, with its gradient in the same pass.
///
/// The loss of a row x whose true class is y, with `lse = log(Σ_c e^(x_c))`, is
///
/// ```text
/// l = -log softmax(x)_y = lse - x_y
/// ```
///
/// The worse the guess, the larger the loss. With class weights w, the row's sample weight s, label
/// smoothing ε and z-loss ζ it is
///
/// ```text
/// class index y:     l = s [ (1-ε) w_y (lse - x_y) + (ε/C) Σ_c w_c (lse - x_c) + ζ lse² ]
/// probabilities t:   l = s [ Σ_c w_c t'_c (lse - x_c) + ζ lse² ]   with t' = (1-ε) t + ε/C
/// ```
///
/// and the gradient of a row, with a_c the coefficient of `(lse - x_c)` and A the sum of them, is
///
/// ```text
/// grad_i = s [ A p_i - a_i + 2 ζ lse p_i ]    with p = softmax(x)
/// hess_i = s [ A p_i (1 - p_i) + 2 ζ (p_i² + lse p_i (1 - p_i)) ]
/// ```
///
/// divided by what the mean divides by; `hess` is the diagonal of the Hessian. [`Reduction::Mean`] divides the sum by the sum of `s w_y`
/// over the rows kept for class indices, by the sum of `s` for probabilities.
///
/// The logits have C classes along `axis`; a row is one 1-d slice along it. Targets are class
/// indices, in the shape of the logits without `axis`, or probabilities, in the shape of the
/// logits; see [`Targets`]. An unreduced loss has the shape of the logits without `axis`, a
/// gradient that of the logits. No array of the size of the logits is made but the gradient itself;
/// with [`loss_and_grad_into`](Self::loss_and_grad_into) none at all.
///
/// # Special values
///
/// - A row that holds a NaN or +inf, or nothing but -inf, has a loss and a gradient of NaN. No
///   other row's gradient is touched.
/// - A logit of -inf at the target is a loss of +inf.
/// - A class whose target or weight is 0 adds nothing, even if its logit is -inf. A row whose every
///   coefficient is 0 is left out, unless there is a z-loss.
/// - A row left out has a loss and a gradient of exactly 0, whatever it holds. A class index is
///   checked all the same.
/// - Every row left out, no rows, or weights that sum to 0: the mean is NaN, the sum 0, the
///   gradient 0.
///
/// # Accuracy
///
/// Each row's loss, and each gradient entry with class indices, is at most 2 ulp from the exactly
/// rounded result. In f64 with weights, smoothing or soft targets the loss is within 4 ulp of the
/// sum of its terms' magnitudes. A confident right answer keeps its small loss, and the target's
/// gradient is the negated sum of the others, not a rounded `p - 1`. With soft targets a gradient
/// entry is the difference `p - t`: at most 2 ulp of the larger term. An entry of the Hessian is within
/// 2 ulp (in f64 with options or a mean 4 ulp; with a z-loss of the larger term), that of a confident
/// row, too. Sums and means over rows are compensated.
///
/// # Errors
///
/// - [`AxisOutOfBounds`](crate::Error::AxisOutOfBounds) if there is no such axis.
/// - [`NoClasses`](crate::Error::NoClasses) if the axis holds no classes.
/// - [`TargetsShape`](crate::Error::TargetsShape) if the targets have neither of the two forms.
/// - [`ClassIndex`](crate::Error::ClassIndex) if a class index is outside [0, C) and not
///   `ignore_index`. Negative indices do not wrap.
/// - [`IgnoreIndexWithProbabilities`](crate::Error::IgnoreIndexWithProbabilities) if `ignore_index`
///   meets probabilities.
/// - [`Shape`](crate::Error::Shape) if a weight has the wrong shape.
/// - [`Option`](crate::Error::Option) if `label_smoothing` is outside [0, 1] or `z_loss` is not
///   finite.
///
/// # Examples
///
/// ```
/// use logitkit::{CrossEntropy, Reduction};
/// use ndarray::{Axis, array};
///
/// // Five classes, the fourth is the true one: the worse the guess, the larger the loss.
/// let probs = array![
///     [0.1, 0.1, 0.1, 0.6, 0.1],
///     [0.2, 0.2, 0.1, 0.3, 0.2],
///     [0.3, 0.3, 0.2, 0.1, 0.1],
/// ];
/// let logits = probs.mapv(f64::ln);
/// let targets = array![3, 3, 3];
/// let losses = CrossEntropy::new()
///     .reduction(Reduction::None)
///     .loss(logits.view(), targets.view(), Axis(1))?
///     .unreduced()
///     .expect("not reduced");
/// let rounded = losses.mapv(|l| (l * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![0.5108, 1.204, 2.3026].into_dyn());
///
/// // The mean and its gradient, `(p - y) / N`.
/// let logits = array![[0.0, 0.0, 0.0], [0.0, 0.0, 0.0]];
/// let targets = array![0, 2];
/// let (loss, grad) =
///     CrossEntropy::new().loss_and_grad(logits.view(), targets.view(), Axis(1))?;
/// assert!((loss.reduced().expect("a mean") - 3.0_f64.ln()).abs() < 1e-12);
/// let rounded = grad.mapv(|g| (g * 1e4).round() / 1e4);
/// assert_eq!(rounded, array![[-0.3333, 0.1667, 0.1667], [0.1667, 0.1667, -0.3333]]);
///
/// // A right answer by a lead of 30 keeps its loss and its gradient.
/// let (loss, grad) = CrossEntropy::new().loss_and_grad(
///     array![[30.0, 0.0]].view(),
///     array![0].view(),
///     Axis(1),
/// )?;
/// assert_eq!(format!("{:.4e}", loss.reduced().expect("a mean")), "9.3576e-14");
/// assert_eq!(format!("{:.4e}", grad[[0, 0]]), "-9.3576e-14");
/// # Ok::<(), logitkit::Error>(())
/// ```
///
/// # See also
///
/// [`NllLoss`](crate::NllLoss), from log-probabilities;
/// [`CategoricalCrossEntropy`](crate::CategoricalCrossEntropy), from probabilities;
/// [`perplexity`](crate::perplexity), the exponential of the mean.
///
/// Source: Goodfellow, Bengio and Courville, Deep Learning, 2016, section 6.2.2.3; label smoothing:
/// Szegedy et al., Rethinking the Inception architecture, 2016; z-loss: Chowdhery et al., PaLM,
/// 2022, section 5.
#[derive(Clone, Debug, Default)]
#[must_use]
pub struct CrossEntropy<'a> {
    options: ClassOptions<'a>,
    loss: LogitsLoss,
}

impl<'a> CrossEntropy<'a> {
    /// The options at their defaults, from which the setters change what is to differ.
    pub fn new() -> Self {
        Self::default()
    }

    /// A weight for each class, of shape (C). Default: 1 for each. A class of weight 0 adds
    /// nothing.
    pub fn weight<W: Element>(mut self, weight: ArrayView1<'_, W>) -> Self {
        self.options.set_weight(weight);
        self
    }

    /// A weight for each row, in the shape of the logits without the axis of the classes. Default:
    /// 1 for each. A row of weight 0 is left out.
    pub fn sample_weight<D: Dimension>(mut self, weight: ArrayView<'a, f64, D>) -> Self {
        self.options.sample_weight = Some(weight.into());
        self
    }

    /// Rows with this target are left out. Default: none. It needs class indices as targets.
    pub fn ignore_index(mut self, index: i64) -> Self {
        self.options.ignore_index = Some(index);
        self
    }

    /// The share ε of every target that is spread evenly over the classes, from 0 to 1. Default: 0.
    pub fn label_smoothing(mut self, share: f64) -> Self {
        self.options.label_smoothing = share;
        self
    }

    /// The factor ζ of the squared log-sum-exp that is added to each row's loss, which keeps the
    /// logits from drifting. Any finite number. Default: 0.
    pub fn z_loss(mut self, factor: f64) -> Self {
        self.loss.z_loss = factor;
        self
    }

    /// What the diagonal of the Hessian is multiplied by. Default: [`Hessian::Exact`], nothing. It
    /// matters to [`loss_and_grad_hess`](Self::loss_and_grad_hess) alone.
    pub fn hessian(mut self, hessian: Hessian) -> Self {
        self.loss.hessian = hessian;
        self
    }

    /// How the losses of the rows become one. Default: [`Reduction::Mean`].
    pub fn reduction(mut self, reduction: Reduction) -> Self {
        self.options.reduction = reduction;
        self
    }

    /// The loss, without the gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type. Nothing has been computed then.
    pub fn loss<'t, T: Element, D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<Loss<T::Compute>> {
        loss(&self.loss, &self.options, logits, targets, axis, [])
    }

    /// The loss, and the gradient of the reduced loss with respect to the logits.
    ///
    /// With [`Reduction::None`] the losses come unreduced and the gradient is that of their sum.
    /// Targets get no gradient.
    ///
    /// # Errors
    ///
    /// Those listed at the type.
    pub fn loss_and_grad<'t, T: Element, D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<LossAndGrad<T, D>> {
        loss_and_grad(&self.loss, &self.options, logits, targets, axis)
    }

    /// [`loss_and_grad`](Self::loss_and_grad) with the gradient written to `out`, an array of the
    /// same shape.
    ///
    /// # Errors
    ///
    /// Those listed at the type, and [`Shape`](crate::Error::Shape) if `out` has another shape.
    /// Nothing has been written then.
    pub fn loss_and_grad_into<'t, T: Element, D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
        out: ArrayViewMut<'_, T, D>,
    ) -> Result<Loss<T::Compute>> {
        loss(&self.loss, &self.options, logits, targets, axis, [out])
    }

    /// The loss, the gradient of the reduced loss with respect to the logits, and the diagonal of its
    /// Hessian, in one pass.
    ///
    /// The latter is what [`hessian`](Self::hessian) says, in the shape of the logits; it is what
    /// Newton's method and boosted trees divide by. With [`Reduction::None`] the losses come unreduced
    /// and the derivatives are those of their sum.
    ///
    /// # Errors
    ///
    /// Those listed at the type.
    ///
    /// # Examples
    ///
    /// ```
    /// use logitkit::{CrossEntropy, Hessian};
    /// use ndarray::{Axis, array};
    ///
    /// let (logits, targets) = (array![[0.0, 0.0], [40.0, 0.0]], array![0, 0]);
    /// let options = CrossEntropy::new().reduction(logitkit::Reduction::Sum);
    /// let (_, grad, hess) =
    ///     options.loss_and_grad_hess(logits.view(), targets.view(), Axis(1))?;
    /// assert_eq!(grad.row(0), array![-0.5, 0.5]);
    /// assert_eq!(hess.row(0), array![0.25, 0.25]); // p (1 - p)
    /// assert_eq!(format!("{:.4e}", hess[[1, 0]]), "4.2484e-18"); // of a confident row, too
    ///
    /// let bound = options.hessian(Hessian::Bound);
    /// let (_, _, hess) = bound.loss_and_grad_hess(logits.view(), targets.view(), Axis(1))?;
    /// assert_eq!(hess.row(0), array![0.5, 0.5]);
    /// # Ok::<(), logitkit::Error>(())
    /// ```
    pub fn loss_and_grad_hess<'t, T: Element, D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
    ) -> Result<LossAndGradHess<T, D>> {
        let mut gradient = zeros(logits.raw_dim(), T::ZERO)?;
        let mut hessian = zeros(logits.raw_dim(), T::ZERO)?;
        let out = [gradient.view_mut(), hessian.view_mut()];
        let loss = self.loss_and_grad_hess_into(logits, targets, axis, out)?;
        Ok((loss, gradient, hessian))
    }

    /// [`loss_and_grad_hess`](Self::loss_and_grad_hess) with the gradient and the diagonal of the
    /// Hessian written to the two arrays of `out`, each of the same shape.
    ///
    /// # Errors
    ///
    /// Those listed at the type, and [`Shape`](crate::Error::Shape) if one of `out` has another shape.
    /// Nothing has been written then.
    pub fn loss_and_grad_hess_into<'t, T: Element, D: Dimension>(
        &self,
        logits: ArrayView<'_, T, D>,
        targets: impl Into<Targets<'t, T>>,
        axis: Axis,
        out: [ArrayViewMut<'_, T, D>; 2],
    ) -> Result<Loss<T::Compute>> {
        loss(&self.loss, &self.options, logits, targets, axis, out)
    }
}

impl std::str::FromStr for Hessian {
    type Err = Error;

    fn from_str(name: &str) -> Result<Self> {
        match name {
            "exact" => Ok(Self::Exact),
            "bound" => Ok(Self::Bound),
            "friedman" => Ok(Self::Friedman),
            _ => Err(Error::Hessian(name.into())),
        }
    }
}

impl<T: Float> CheckedLoss<T> for LogitsLoss {
    fn compiled() -> ClassLosses<T, Self> {
        compiled::<T>().cross_entropy
    }

    fn check(&self) -> Result<()> {
        if self.z_loss.is_finite() {
            return Ok(());
        }
        Err(Error::Option {
            name: "z_loss",
            value: self.z_loss,
            expected: "a finite number",
        })
    }

    fn counts_without_target(&self) -> bool {
        self.z_loss != 0.0
    }
}
